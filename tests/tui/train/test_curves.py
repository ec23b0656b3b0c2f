"""Units of x and moving averages of the curves."""

import math

import numpy as np
import pytest

from tests.helpers.records import evaluated, lockstep, train
from tinygpt.run import EndRecord
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History
from tinygpt_tui.train.curves import averages, curves, evaluation_x, full_range, train_x
from tinygpt_tui.train.state import Options


def test_averages_against_a_loop_and_over_gaps() -> None:
    history = History()
    losses = [1.0, 2.0, math.nan, 8.0, math.inf, 3.0]
    history.add(group([train("dense", i + 1, loss) for i, loss in enumerate(losses)]))
    dense = history.variants["dense"]
    found = averages(dense, np.arange(6.0), 3)
    for i in range(6):
        inside = [x for x in losses[max(0, i - 2) : i + 1] if math.isfinite(x)]
        assert found[i] == pytest.approx(sum(inside) / len(inside))
    assert math.isnan(averages(dense, np.array([2.0]), 1)[0])


def test_units_of_x() -> None:
    history = History()
    history.add([*lockstep(4), evaluated("dense", 4, 1.0)])
    dense = history.variants["dense"]
    assert train_x(dense, "steps").tolist() == [1, 2, 3, 4]
    assert train_x(dense, "tokens").tolist() == [77, 154, 231, 308]
    assert train_x(dense, "epochs").tolist() == [0.5, 1.0, 1.5, 2.0]
    assert train_x(dense, "time").tolist() == [0.5, 1.0, 1.5, 2.0]
    for axis, last in (("steps", 4), ("tokens", 308), ("epochs", 2.0), ("time", 2.0)):
        assert evaluation_x(dense, axis).tolist() == [last]  # type: ignore[arg-type]
        assert last <= full_range(history, axis)[1] < 1.1 * last  # type: ignore[arg-type]
    history.add([EndRecord(time=1.0, state="done", reason="", models={})])
    assert full_range(history, "tokens") == (77.0, 308.0)
    assert full_range(History(), "steps") == (0.0, 1.0)


def test_the_best_evaluation_is_marked_on_the_validation_curve_alone() -> None:
    history = History()
    history.add(
        [*lockstep(9), *(evaluated("dense", s, x) for s, x in ((3, 2.0), (6, 1.5), (9, 1.6)))]
    )
    for quantity in ("loss", "perplexity"):
        drawn = curves(history, Options(), quantity, x_range=(1, 9), columns=40)
        assert {curve.name: curve.mark for curve in drawn if "val" not in curve.name} == {
            name: None for v in ("dense", "moe") for name in (f"{v} raw", f"{v} train")
        }
        dense, moe = (curve for curve in drawn if "val" in curve.name)
        assert (dense.mark, moe.mark) == (1, None)
        assert dense.x[1] == 6
