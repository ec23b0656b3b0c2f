"""Tables: the columns that fit, each row as wide as asked."""

from hypothesis import example, given
from hypothesis import strategies as st

from tinygpt_tui.render.cells import Span, plain, width
from tinygpt_tui.render.table import Cell, Column, choose_columns, table

COLUMNS = [
    Column("model", 6),
    Column("loss", 6, "right"),
    Column("tok/s", 6, "right", priority=2),
    Column("ppl", 5, "right", priority=1),
]


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


@example(1, ["\x1f"])
@given(st.integers(0, 60), st.lists(st.text(max_size=9), max_size=4))
def test_table_rows_are_as_wide_as_asked(columns: int, names: list[str]) -> None:
    rows = [[name, "1", "2", "3"] for name in names]
    assert {width(cells) for cells in table(COLUMNS, rows, columns)} == {columns}
