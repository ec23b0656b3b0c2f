"""Titled rules and the lines between panels: exactly as wide as asked, and joined."""

from hypothesis import given
from hypothesis import strategies as st

from tinygpt_tui.render.cells import Row, Span, plain, row, width
from tinygpt_tui.render.panel import GAP, Panel, rule, side_by_side, stacked, titled

TITLE = titled("load", "step 7")


def test_a_rule_has_a_title_and_a_note_at_its_end() -> None:
    note = row(Span("low", "muted"))
    assert plain([rule(TITLE, 29, right=note)]) == ["─ load · step 7 ─────── low ─"]
    assert plain([rule(TITLE, 21, right=note)]) == ["─ load · step 7 ─────"], "no room for it"
    assert plain([rule(TITLE, 19, active=True)]) == ["▸ load · step 7 ───"]
    assert plain([rule(TITLE, 11)]) == ["─ load · st"]
    assert plain([rule((), 5)]) == ["─────"]


def test_panels_below_each_other_fill_the_lines() -> None:
    panels = [Panel(titled("a"), [row("1")]), Panel(titled("b"), [row("2"), row("3")])]
    rows = ["─ a ───", "1      ", "─ b ───", "2      ", "3      ", "       "]
    assert plain(stacked(panels, 7, 6)) == rows
    assert plain(stacked(panels, 7, 4))[2:] == ["─ b ───", "2      "], "the second one is cut"
    assert plain(stacked(panels, 7, 3))[2:] == [" " * 7], "a title alone says nothing"


def test_the_line_between_panels_meets_their_rules() -> None:
    left: list[Row] = [rule(titled("a"), 6), row("1"), rule(titled("c"), 6), row("2")]
    right: list[Row] = [rule(titled("b"), 6), row(" x"), row(" y"), rule((), 6)]
    assert plain(side_by_side([left, right], [6, 6])) == [
        "─ a ───┬─ b ──",
        "1      │ x    ",
        "─ c ───┤ y    ",
        "2      ├──────",
    ]
    assert plain(side_by_side([[row("1")], right[1:2]], [1, 2])) == ["1 │ x"]


@given(st.integers(0, 40), st.text("ab界", max_size=20), st.text("ab", max_size=20), st.booleans())
def test_any_rule_has_its_width(columns: int, title: str, right: str, active: bool) -> None:  # noqa: FBT001
    drawn = rule(row(title), columns, right=row(right), active=active)
    assert width(drawn) == columns
    (joined,) = side_by_side([[drawn], [drawn]], [columns, columns])
    assert width(joined) == 2 * columns + GAP
