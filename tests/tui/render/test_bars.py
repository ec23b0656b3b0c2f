"""Bars of progress and of the load of experts."""
# ruff: noqa: RUF001 - the signs are meant

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.snapshots import as_ascii
from tinygpt_tui.render.bars import load_bars, progress
from tinygpt_tui.render.cells import Span, plain, width

NAN = math.nan


def test_progress_to_an_eighth() -> None:
    assert progress(0.33, 10) == (Span("███▎", "bar"), Span("──────", "faint"))
    assert plain([progress(x, 5) for x in (NAN, -1, 0, 1, 2)]) == ["─────"] * 3 + ["█████"] * 2


@given(st.floats(), st.integers(0, 50))
def test_progress_is_as_wide_as_asked(part: float, columns: int) -> None:
    assert width(progress(part, columns, "dense")) == columns


def test_load_bars() -> None:
    load = [[0.5, 0.25, 0.25, 0.0]]
    assert plain(load_bars(load, 48)) == ["L0 ██┃██  50% ██┃··  25% ██┃··  25% dead·   0%  "]
    assert plain(as_ascii(load_bars(load, 48))) == [
        "L0 ##|##  50% ##|..  25% ##|..  25% dead.   0%  "
    ]
    assert Span("dead", "bad") in load_bars(load, 48)[0]


def test_many_experts_in_little_room_are_a_character_each() -> None:
    load = [[0.9, *[0.1 / 14] * 14, 0.0]]
    assert plain(load_bars(load, 20)) == ["L0 █▁▁▁▁▁▁▁▁▁▁▁▁▁▁× "]
    assert plain(load_bars(load, 19)) == [" " * 19]


@given(
    st.lists(st.lists(st.floats(0, 1) | st.just(NAN), max_size=17), max_size=11),
    st.integers(0, 120),
)
def test_load_bars_are_as_wide_as_asked(load: list[list[float]], columns: int) -> None:
    rows = load_bars(load, columns)
    assert [width(cells) for cells in as_ascii(rows)] == [columns] * len(load)
