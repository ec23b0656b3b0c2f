"""The fold of records, and what the charts make of it."""

import math

import numpy as np
import pytest

from tests.helpers.records import evaluated, lockstep, routed, sample, train
from tinygpt.run import (
    EndRecord,
    ResumeRecord,
)
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import Column, History
from tinygpt_tui.train.curves import averages, evaluation_x, train_x, whole_stretch
from tinygpt_tui.train.layout import arrange
from tinygpt_tui.train.options import Options


def test_column_grows_and_is_cut() -> None:
    column = Column()
    for start in range(0, 5000, 7):
        column.extend(np.arange(start, start + 7, dtype=np.float64))
    assert column.values.tolist() == list(range(5005))
    column.cut(3)
    column.extend(np.array([9.0]))
    assert column.values.tolist() == [0, 1, 2, 9]


def test_history_follows_both_models() -> None:
    history = History()
    history.add(lockstep(7))
    history.add([evaluated("moe", 7, 1.5), sample("moe", 7)])
    moe = history.variants["moe"]
    assert moe.step.values.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert moe.loss.values.tolist() == [4 / s for s in range(1, 8)]
    assert moe.last is not None
    assert moe.last.step == history.step == 7
    assert moe.tokens_per_second == pytest.approx(154)
    assert moe.evaluated is not None
    assert moe.sample is not None
    assert history.variants["dense"].evaluated is None


def test_resume_takes_back_what_will_come_again() -> None:
    history = History()
    history.add([*lockstep(7), evaluated("moe", 6, 1.5), sample("moe", 6)])
    history.add([EndRecord(time=1.0, state="stopped", reason="", models={})])
    history.add([ResumeRecord(time=2.0, step=4, models={"moe": 4, "dense": 7})])
    assert history.end is None
    assert history.variants["moe"].step.values.tolist() == [1, 2, 3, 4]
    assert history.variants["moe"].evaluations == []
    assert history.variants["moe"].sample is None
    assert len(history.variants["dense"].step.values) == 7
    history.add(group([train("moe", 5, 9.0)]))
    assert history.variants["moe"].loss.values[-1] == 9.0
    window = averages(history.variants["moe"], np.array([4.0]), 2)
    assert window.tolist() == [5.0]


def test_routing_over_time_is_kept_and_taken_back() -> None:
    history = History()
    history.add([*lockstep(7), routed(2), routed(4, 0.3), routed(6, 0.1)])
    moe = history.variants["moe"]
    assert [r.step for r in moe.routings] == [2, 4, 6]
    assert moe.routing == moe.routings[-1]
    history.add([ResumeRecord(time=2.0, step=4, models={"moe": 4, "dense": 7})])
    assert [r.step for r in moe.routings] == [2, 4]
    history.add([routed(6, 0.2)])
    assert [r.load[0][0] for r in moe.routings] == [0.5, 0.3, 0.2]
    history.add([ResumeRecord(time=3.0, step=0, models={"moe": 0})])
    assert moe.routing is None


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
        assert last <= whole_stretch(history, axis)[1] < 1.1 * last  # type: ignore[arg-type]
    history.add([EndRecord(time=1.0, state="done", reason="", models={})])
    assert whole_stretch(history, "tokens") == (77.0, 308.0)
    assert whole_stretch(History(), "steps") == (0.0, 1.0)


def test_zoom_and_pan_stay_inside() -> None:
    whole = (0.0, 100.0)
    options = Options().zoomed(1, whole, 100.0)
    assert options.window == (50.0, 100.0)
    assert options.panned(-10, whole).window == (25.0, 75.0)
    assert options.panned(-100, whole).window == (0.0, 50.0)
    assert options.panned(10, whole).window == (50.0, 100.0)
    assert options.zoomed(-1, whole, 100.0).window is None
    at_cursor = Options(cursor=20.0).zoomed(1, whole, 100.0)
    assert at_cursor.window == (10.0, 60.0)
    deep = options
    for _ in range(50):
        deep = deep.zoomed(1, whole, 91.0)
    assert deep.window is not None
    assert deep.window[0] <= 91.0 <= deep.window[1]
    assert deep.window[1] - deep.window[0] > 0.0005


def test_another_unit_of_x_forgets_the_stretch() -> None:
    options = Options(window=(1.0, 2.0), cursor=1.5).next_x()
    assert (options.x_axis, options.window, options.cursor) == ("epochs", None, None)


@pytest.mark.parametrize("columns", [20, 40, 63, 64, 80, 120, 200, 400])
@pytest.mark.parametrize("lines", range(1, 60))
def test_layout_fills_the_window_exactly(columns: int, lines: int) -> None:
    layout = arrange(columns, lines, "both", 2)
    heights = [height for _, _, height in layout.charts]
    used = sum(heights) if layout.stacked else heights[0]
    others = layout.readout + layout.table + layout.bottom + layout.machine
    assert used + others == lines
    assert used >= 1
    widths = sum(width for _, width, _ in layout.charts) + (len(layout.charts) - 1)
    assert layout.stacked or widths == columns
    if lines >= 22:
        assert layout.bottom >= 5
        assert layout.readout
        assert layout.table == 4
