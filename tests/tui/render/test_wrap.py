"""Wrapped text: nothing is lost, and every token is found where it stands."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.generated import texts
from tinygpt_tui.render.wrap import Flow


@given(texts, st.integers(4, 20), st.booleans())
@example(text=" aa漢漢", columns=5, marks=False)
def test_a_wrapped_text_is_the_text(text: str, columns: int, marks: bool) -> None:  # noqa: FBT001
    flow = Flow(columns, marks=marks)
    flow.extend(text)
    assert len(flow.cells) == flow.tokens == len(text)
    ends = [*flow._starts[1:], len(flow.cells)]
    assert [*flow._starts] == sorted(set(flow._starts))
    for number, end in enumerate(ends):
        cells = flow.line(number)
        assert sum(c.width for c in cells) <= columns
        hanging = flow.cells[flow._starts[number] + len(cells) : end]
        assert all(c.space or text[c.token] == "\n" for c in hanging)
    for place in range(len(text)):
        line, at = flow.place(place)
        assert flow._starts[line] <= place < ends[line]
        if at < columns:
            assert flow.token_at(line, at) == place


def test_lines_break_after_spaces() -> None:
    flow = Flow(7)
    flow.extend("to be or nottobeatall\nx")
    lines = ["".join(c.text for c in flow.line(n)) for n in range(flow.height)]
    assert [line.rstrip() for line in lines] == ["to be", "or", "nottobe", "atall", "x"]
