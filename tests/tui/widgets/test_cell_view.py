"""What a change costs: the parts of a row that differ, and nothing beside them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.shell.textual_patches import only_changed
from tinygpt_tui.widgets.cell_view import MIN_GAP, changed


def test_each_change_by_itself_near_ones_together() -> None:
    before = row("." * 40)
    after = row("x", "." * 20, "yy", "." * (MIN_GAP - 2), "z", "." * 9)
    assert len("".join(span.text for span in after)) == 39
    after = row(*after, ".")
    assert changed(before, after, 40) == [(0, 1), (21, 22 + MIN_GAP)]


def test_a_style_is_a_change_and_wide_characters_are_everything() -> None:
    assert changed(row("abc"), row("a", Span("b", "bad"), "c"), 7) == [(1, 2)]
    assert changed(row("abc"), row("a界"), 7) == [(0, 7)]
    assert changed((), row("abc"), 7) == [(0, 7)]
    assert changed((Span("a"), Span("b")), (Span("ab"),), 7) == []


rows = st.lists(
    st.tuples(st.sampled_from(".x"), st.sampled_from(["", "bad"])), min_size=31, max_size=31
)


@given(rows, rows)
def test_the_parts_hold_every_change(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    old: Row = tuple(Span(*cell) for cell in before)
    new: Row = tuple(Span(*cell) for cell in after)
    parts = changed(old, new, 31)
    inside = {place for left, right in parts for place in range(left, right)}
    assert inside >= {i for i in range(31) if before[i] != after[i]}
    for left, right in parts:
        assert before[left] != after[left]
        assert before[right - 1] != after[right - 1]
    for (_, end), (begin, _) in pairwise(parts):
        assert begin - end >= MIN_GAP


def test_an_update_begins_where_the_change_does() -> None:
    console = Console(color_system=None, force_terminal=True)
    line = Strip([Segment("0123456789")])
    update = ChopsUpdate([{0: line}], [(0, 3, 5), (0, 8, 9)], [[10]])
    assert "012" in update.render_segments(console)
    sent = only_changed(update)
    assert isinstance(sent, ChopsUpdate)
    assert sent.render_segments(console) == "\x1b[1;4H34\x1b[1;9H8"
    assert only_changed(None) is None
    assert only_changed("text") == "text"
