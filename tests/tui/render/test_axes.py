"""Ticks, their labels, and the row of labels."""

from tinygpt.formatting import duration
from tinygpt_tui.render.axes import Limits, label_row, x_labels, y_labels
from tinygpt_tui.render.cells import Span, plain, row
from tinygpt_tui.render.downsample import time_ticks
from tinygpt_tui.render.raster import Grid


def limits(low: float, high: float, *, log: bool = False) -> Limits:
    return Limits(0.0, 3600.0, low, high, log)


def test_labels_of_y_have_equally_many_decimals() -> None:
    assert y_labels(limits(1.5, 3.0), Grid(1, 13, 2, 4)) == {
        0: "3.0",
        4: "2.5",
        8: "2.0",
        12: "1.5",
    }
    assert y_labels(limits(0.0, 2000.0), Grid(1, 7, 2, 4)) == {0: "2k", 6: "0"}


def test_labels_of_a_logarithmic_y_are_values_not_exponents() -> None:
    assert y_labels(limits(0.0, 2.0, log=True), Grid(1, 11, 1, 1)) == {10: "1", 5: "10", 0: "100"}


def test_labels_of_x_are_chosen_and_formatted_by_the_caller() -> None:
    found = x_labels(limits(0, 1), Grid(61, 5, 1, 1), time_ticks, duration)
    assert found == {0: "0s", 15: "15:00", 30: "30:00", 45: "45:00", 60: "1h00"}


def test_labels_that_do_not_fit_are_dropped_with_their_ticks() -> None:
    name = row(Span("step", "muted"))
    kept, cells = label_row({0: "0", 4: "10", 6: "20", 20: "30", 38: "40"}, 2, 43, name)
    assert kept == {0: "0", 4: "10", 20: "30"}
    assert plain([cells]) == ["   0  10              30               step"]
