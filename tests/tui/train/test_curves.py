"""Units of x and moving averages of the curves."""

import math

import numpy as np
import pytest

from tests.helpers.records import evaluated, lockstep, train
from tests.helpers.scenes import history as made_history
from tinygpt.run import EndRecord
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import Overlay
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


def test_the_range_of_x_grows_to_the_longest_overlay() -> None:
    over, live = made_history(30, end=True), made_history(30)
    long, short = (Overlay("o", made_history(last), 1) for last in (70, 10))
    assert full_range(over, "steps", [short, long]) == (1.0, 70.0)
    assert full_range(over, "steps", [short]) == (1.0, 30.0)
    assert full_range(live, "steps", [short]) == full_range(live, "steps")
    assert full_range(live, "time", [long]) == (0.5, 35.0)
    assert full_range(History(), "steps", [long]) == (1.0, 70.0)


def test_overlays_have_their_own_colour_and_tell_variants_apart() -> None:
    overlays = [Overlay(name, made_history(30), n) for n, name in ((1, "a"), (2, "b"))]
    drawn = curves(History(), Options(), "loss", x_range=(1, 30), columns=40, overlays=overlays)
    assert [(c.name, c.style, c.marker, c.dashed) for c in drawn] == [
        ("a", "over.1", "1", False),
        ("a", "over.1", "1", True),
        ("b", "over.2", "2", False),
        ("b", "over.2", "2", True),
    ]
    assert [curve.x.tolist() for curve in drawn] == [[10, 20, 30]] * 4
    assert [curve.mark for curve in drawn] == [2] * 4, "the best evaluation"


@pytest.mark.parametrize(
    ("hidden", "last", "points"),
    [
        ({"val"}, 30, [30, 30]),
        (set(), 7, [7, 7]),
        ({"val", "train"}, 30, []),
        ({"dense", "val"}, 30, [30]),
        ({"train"}, 7, []),
    ],
)
def test_overlays_show_train_losses_while_validation_is_hidden_or_missing(
    hidden: set[str], last: int, points: list[int]
) -> None:
    overlay, options = Overlay("a", made_history(last), 1), Options(hidden=frozenset(hidden))
    drawn = curves(History(), options, "loss", x_range=(1, 30), columns=40, overlays=[overlay])
    assert [len(curve.x) for curve in drawn] == points
