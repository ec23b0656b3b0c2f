"""The distribution at the cursor: its columns have headings, and all candidates can be reached."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.helpers.generated import VOCABULARY, made
from tinygpt_tui.generate.candidates import (
    HEADINGS,
    LONGEST_NAME,
    NAME,
    WITH_BAR,
    arranged,
    inspector,
    name_columns,
    needed_height,
)
from tinygpt_tui.render.cells import Span, plain, row, width


def test_all_candidates_are_shown_below_headings_and_the_chosen_one_is_marked() -> None:
    rows = plain(inspector(made("abc"), 1, 120, 4))
    shown = "\n".join(rows)
    assert "2/3 b" in rows[0]
    assert rows[1].startswith(" token raw % final %")
    assert "●b      40.0    50.0" in rows[2]
    assert "top-k" in shown
    for name in ("\\n", "' '", "a", "c", "d", "e"):
        assert f" {name} " in shown


def test_where_there_is_room_each_has_a_bar_and_the_legend_is_beside_the_facts() -> None:
    legend = row(Span("legend"))
    rows = plain(inspector(made("abc"), 1, 130, 11, legend=legend, least=WITH_BAR))
    assert rows[0].rstrip("─ ").endswith("legend")
    assert rows[2].count("▄") > rows[3].count("▄") > 0
    narrow = plain(inspector(made("abc"), 1, 70, 4, legend=legend))
    assert "legend" not in narrow[0]
    assert "▄" not in "".join(narrow)


@pytest.mark.parametrize("columns", [20, 38, 59, 120, 200])
@pytest.mark.parametrize("height", [2, 3, 7, 20])
def test_every_size_is_filled(columns: int, height: int) -> None:
    for candidate in (None, 2, 6):
        for least in (20, WITH_BAR):
            rows = inspector(made("abc de"), 3, columns, height, candidate=candidate, least=least)
            assert len(rows) == height
            assert {width(r) for r in rows} == {columns}


@given(st.integers(1, 100), st.integers(20, 200))
def test_the_needed_height_shows_all(candidates: int, columns: int) -> None:
    assert arranged(candidates, columns, needed_height(candidates, columns)).shown >= candidates


def test_the_candidate_under_the_cursor_is_always_visible() -> None:
    text = made("abc")
    for place in range(len(VOCABULARY)):
        rows = inspector(text, 1, 25, HEADINGS + 2, candidate=place)
        assert any("reverse" in span.style for cells in rows for span in cells)


def test_names_of_longer_tokens_get_the_room_they_need() -> None:
    text = made("ab")
    long = msgspec.structs.replace(text.tokens[0], texts=(" strawberries and", "日本語", *"cdefg"))
    text.tokens[0] = long
    assert name_columns(text.tokens[1]) == NAME
    assert name_columns(long) == LONGEST_NAME
    rows = plain(inspector(text, 0, 77, 6))
    assert rows[2].startswith("●∙strawberrie… ")
    assert rows[3].startswith(" 日本語        ")
    assert {cell_len(line) for line in rows} == {77}


def test_a_part_of_a_character_is_named_by_its_bytes() -> None:
    text = made("ab")
    token = text.tokens[0]
    text.tokens[0] = msgspec.structs.replace(token, text="", texts=("<0xE2>", *token.texts[1:]))
    assert "<0xE2>" in plain(inspector(text, 0, 77, 6))[0]
