"""Bars of progress and of the load of experts."""
# ruff: noqa: RUF001 - the signs are meant

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.snapshots import as_ascii
from tinygpt_tui.render.bars import expert_names, load_bars, load_title, progress
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


def test_the_title_says_how_many_experts_fit() -> None:
    assert load_title([[0.1] * 41] * 2, 44) == "expert load per layer"
    assert load_title([[0.1] * 64] * 2, 44) == "load: experts 0-40 of 64"
    assert plain(load_bars([[1 / 64] * 41 + [1.0] * 23], 44)) == ["L0 " + "▅" * 41]


@pytest.mark.parametrize("chosen", [0, 9, 10, 63])
def test_names_of_experts_are_those_that_fit_around_the_chosen_one(chosen: int) -> None:
    names = expert_names(64, 60, chosen)
    assert width(tuple(names)) <= 60
    assert f"■{chosen} " in [span.text for span in names]
    few = expert_names(4, 60, 3)
    assert [(span.text, span.style) for span in few] == [
        (f"■{expert} ", f"expert.{expert}") for expert in range(4)
    ]


@given(
    st.lists(st.lists(st.floats(0, 1) | st.just(NAN), max_size=17), max_size=11),
    st.integers(0, 120),
)
def test_load_bars_are_as_wide_as_asked(load: list[list[float]], columns: int) -> None:
    rows = load_bars(load, columns)
    assert [width(cells) for cells in as_ascii(rows)] == [columns] * len(load)
