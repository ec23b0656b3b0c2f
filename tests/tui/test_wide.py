"""Characters of any width in texts, names and vocabularies: columns stay where they are."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.helpers.generated import made
from tests.helpers.looks import attention_state, inspected
from tests.helpers.routed import experts_state, inspect_reply, survey_reply
from tests.helpers.scenes import history
from tinygpt.run import RunState
from tinygpt_tui.attention import view as attention_view
from tinygpt_tui.attention.state import LEVELS
from tinygpt_tui.engine import results
from tinygpt_tui.experts.state import VIEWS
from tinygpt_tui.experts.view import tab as experts_tab
from tinygpt_tui.generate.candidates import inspector
from tinygpt_tui.generate.state import Side, ViewOptions
from tinygpt_tui.generate.view import column, listing
from tinygpt_tui.render.cells import Row, plain, width
from tinygpt_tui.render.header_footer import header_row
from tinygpt_tui.train import view as train_view
from tinygpt_tui.train.state import TrainState

# Narrow, wide, of no width of their own, joined, from right to left, and what terminals obey.
KINDS = [
    "a",
    "Z",
    " ",
    "\n",
    "漢",
    "字",
    "ｱ",
    "é",
    "e\u0301",
    "\u0301",
    "\u200d",
    "👩",
    "👩\u200d👧",
]
KINDS += [
    "👩\u200d👧",
    "🏳\ufe0f\u200d🌈",
    "עִברית",
    "\u202e",
    "\x1b",
    "\t",
    "\x07",
    "\ud800",
    "\u2028",
    "\ufeff",
]
texts = st.lists(st.sampled_from(KINDS), min_size=1, max_size=40).map("".join)
sizes = st.tuples(st.integers(5, 130), st.integers(1, 40))


def assert_exact(rows: list[Row], columns: int, lines: int) -> None:
    """As many rows as asked, each as wide, and nothing in them that a terminal obeys."""
    assert [width(row) for row in rows] == [columns] * lines
    for line in plain(rows):
        assert line.isprintable(), ascii(line)


@given(texts, texts, sizes)
def test_header_and_train_tab(run: str, reason: str, size: tuple[int, int]) -> None:
    state = RunState(state="failed", reason=reason)
    assert_exact([header_row("train", run, reason, state, size[0])], size[0], 1)
    made_up = TrainState(history(20), run_state=state)
    assert_exact(train_view.tab(made_up, *size), *size)
    assert_exact(train_view.tab(replace(made_up, error=reason), *size), *size)


@given(texts, texts, sizes, st.booleans())
def test_generate(prompt: str, said: str, size: tuple[int, int], marks: bool) -> None:  # noqa: FBT001
    columns, lines = size
    text = made("abc de", prompt)
    for place, character in enumerate(said[: len(text.tokens)]):
        text.tokens[place] = structs.replace(text.tokens[place], text=character)
    look = ViewOptions("surprisal", marks=marks)
    for cursor in (None, 2):
        side = Side("Dense", text=text)
        assert_exact(column(side, columns, lines, look, cursor=cursor), columns, lines)
    assert_exact(
        listing([text] * 3, 1, columns, lines, look, timeline=True, run="x"), columns, lines
    )
    if lines > 1 and columns >= 20:
        rows = inspector(text, 1, columns, lines, candidate=1)
        assert_exact(rows, columns, lines)


@settings(max_examples=60)
@given(texts, sizes, st.sampled_from(LEVELS))
def test_attention(text: str, size: tuple[int, int], level: str) -> None:
    characters = tuple(text[:40])
    shown = replace(inspected(len(characters)), texts=characters)
    assert_exact(attention_view.tab(attention_state(shown, size, level=level), *size), *size)


@settings(max_examples=60)
@given(texts, st.tuples(st.integers(20, 160), st.integers(3, 50)), st.sampled_from(VIEWS))
def test_experts(text: str, size: tuple[int, int], view: str) -> None:
    names = tuple(dict.fromkeys(text))
    survey = results.routing_survey(survey_reply())
    assert survey
    vocabulary = (*names, *survey.vocabulary)[: len(survey.vocabulary)]
    shown = experts_state(
        view=view,
        routed_text=results.routed_text(inspect_reply(step=45, text=text[:40])),
        survey=replace(survey, vocabulary=vocabulary),
        inspect_problem=text,
    )
    assert_exact(experts_tab(shown, *size), *size)
