"""Bars and tables."""
# ruff: noqa: RUF001 - the signs are meant

import math

from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.snapshots import as_ascii
from tinygpt_tui.render.bars import load_bars, progress, spark
from tinygpt_tui.render.cells import Span, plain, width
from tinygpt_tui.render.table import Cell, Column, choose_columns, natural_width, table

NAN = math.nan
COLUMNS = [
    Column("model", 6),
    Column("loss", 6, "right"),
    Column("tok/s", 6, "right", priority=2),
    Column("ppl", 5, "right", priority=1),
]


def test_progress_to_an_eighth() -> None:
    assert progress(0.33, 10) == (Span("███▎", "bar"), Span("──────", "faint"))
    assert (
        plain([progress(x, 5) for x in (None, NAN, -1, 0, 1, 2)]) == ["─────"] * 4 + ["█████"] * 2
    )


@given(st.none() | st.floats(), st.integers(0, 50))
def test_progress_is_as_wide_as_asked(part: float | None, columns: int) -> None:
    assert width(progress(part, columns, "dense")) == columns


def test_load_bars() -> None:
    load = [[0.5, 0.25, 0.25, 0.0]]
    assert plain(load_bars(load, 48)) == ["L0 ██┃██  50% ██┃··  25% ██┃··  25% dead·   0%  "]
    assert plain(as_ascii(load_bars(load, 48))) == [
        "L0 ##|##  50% ##|--  25% ##|--  25% dead-   0%  "
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


def test_spark() -> None:
    assert spark([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert spark([1, NAN, 2], 5) == "  ▁ █"
    assert spark([3, 3], 3) == " ▄▄"
    assert spark([], 3) == "   "


@given(st.lists(st.floats(), max_size=19), st.integers(0, 17))
def test_spark_is_as_wide_as_asked(values: list[float], columns: int) -> None:
    assert len(spark(values, columns)) == columns


def test_table() -> None:
    rows: list[list[Cell]] = [
        [Span("Dense", "dense"), "1.593", "12.3k", "4.92"],
        ["MoE", "1.571", "8.35k", "4.81"],
    ]
    assert plain(table(COLUMNS, rows, 30)) == [
        "model     loss   tok/s    ppl ",
        "Dense    1.593   12.3k   4.92 ",
        "MoE      1.571   8.35k   4.81 ",
    ]
    assert plain(table(COLUMNS, rows, 22)) == [
        "model     loss    ppl ",
        "Dense    1.593   4.92 ",
        "MoE      1.571   4.81 ",
    ]
    assert table(COLUMNS, rows, 30)[1][0] == Span("Dense", "dense")


def test_the_least_important_columns_go_first() -> None:
    chosen = [choose_columns(COLUMNS, columns) for columns in (29, 28, 21, 20, 14, 13, 0)]
    assert chosen == [[0, 1, 2, 3], [0, 1, 3], [0, 1, 3], [0, 1], [0, 1], [0], [0]]
    assert choose_columns([], 9) == []
    assert natural_width("ppl", ["1", Span("12.34")]) == 5


@example(1, ["\x1f"])
@given(st.integers(0, 60), st.lists(st.text(max_size=9), max_size=4))
def test_table_rows_are_as_wide_as_asked(columns: int, names: list[str]) -> None:
    rows = [[name, "1", "2", "3"] for name in names]
    assert {width(cells) for cells in table(COLUMNS, rows, columns)} == {columns}
