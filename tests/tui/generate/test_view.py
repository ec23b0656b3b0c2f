"""Rows of the Generate tab: settings, texts, the inspector and the list."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.generated import made, token
from tinygpt_tui.generate.presets import PRESETS
from tinygpt_tui.generate.state import COLOURS, Side, ViewOptions
from tinygpt_tui.generate.view import (
    _first_line,
    column,
    level,
    listing,
    settings_rows,
)
from tinygpt_tui.render.cells import plain, width


def test_levels_follow_what_is_looked_at() -> None:
    top1_probability, unsure = token("a", p=0.97), token("a", p=0.02)
    for colour in COLOURS[1:3]:
        look = ViewOptions(colour=colour)
        assert level(top1_probability, (), look) == "heat.0"
        assert level(unsure, (), look) == ("heat.6" if colour == "surprisal" else "heat.7")
    assert level(top1_probability, (3, 1), ViewOptions("expert", layer=1)) == "expert.1"
    assert level(top1_probability, (), ViewOptions("expert")) == "text"
    assert level(top1_probability, (), ViewOptions()) == "text"


@pytest.mark.parametrize("columns", [5, 38, 59, 120])
@pytest.mark.parametrize("height", [1, 2, 7, 20])
def test_every_row_has_the_width_and_there_are_as_many_as_asked(columns: int, height: int) -> None:
    text = made("abc de\n" * 9)
    look = ViewOptions("surprisal")
    for cursor in (None, 0, 61):
        rows = column(Side("Dense", text=text), columns, height, look, cursor=cursor)
        assert len(rows) == height
        assert {width(r) for r in rows} == {columns}
    if height > 1 and columns >= 20:
        rows = listing([text] * 5, 3, columns, height, look, timeline=True)
        assert len(rows) == height
        assert {width(r) for r in rows} == {columns}


def test_a_list_says_of_what_other_run_its_texts_are() -> None:
    text = made("abc")
    text.path = "runs/other/dense/step-00000003"
    for run, said in (("other", False), ("one", True)):
        shown = plain(listing([text], 0, 60, 3, ViewOptions(), timeline=True, run=run))[0]
        assert ("other" in shown) == said


def test_settings_fit_two_rows_of_eighty() -> None:
    busy = replace(PRESETS["conservative"], seed=123456789, no_repeat_ngram=10, stop=("x",))
    assert len(settings_rows(busy, 80)) <= 3
    assert {width(r) for r in settings_rows(busy, 80)} == {80}


@given(total=st.integers(1, 400), room=st.integers(1, 41))
def test_a_growing_text_keeps_its_newest_line_in_sight_and_seldom_moves(
    total: int, room: int
) -> None:
    firsts = [_first_line(n, room, n - 1, centre=False) for n in range(1, total + 1)]
    for lines, first in enumerate(firsts, start=1):
        assert first <= lines - 1 < first + room
    moves = sum(a != b for a, b in pairwise(firsts))
    assert moves <= total / max(1, room // 2)


def test_every_second_token_is_shaded_on_request() -> None:
    text = made("abc")
    side = Side("Dense", text=text)
    plain_rows = column(side, 40, 6, ViewOptions())
    shaded = column(side, 40, 6, ViewOptions(boundaries=True))
    assert plain(shaded) == plain(plain_rows)
    styles = {span.text: span.style for cells in shaded for span in cells if span.text in "abc"}
    assert styles["b"].endswith("/token")
    assert not styles["a"].endswith("/token")
    assert not styles["c"].endswith("/token")
