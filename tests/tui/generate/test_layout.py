"""The Generate tab below its settings: at every size as many rows as asked, and all used."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.generated import made
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.layout import candidate_grid, click, texts
from tinygpt_tui.generate.sidebar import sidebar_columns
from tinygpt_tui.generate.state import COLOURS
from tinygpt_tui.render.cells import plain, width


def controller(
    *, cursor: int | None = None, sides: int = 2, colour: str = "surprisal"
) -> GenerateController:
    """With texts on its sides, as if they had been generated."""
    found = GenerateController(lambda _: None, lambda: 1)
    found.sides = [found.side_of(("dense", "moe")[i], made("ab cde\n" * 5)) for i in range(sides)]
    found.cursor = cursor
    found.options = replace(found.options, colour=colour)  # type: ignore[arg-type]
    return found


@given(
    st.tuples(st.integers(30, 220), st.integers(8, 60)),
    st.sampled_from([None, 0, 20]),
    st.integers(1, 2),
    st.sampled_from(COLOURS),
    st.sampled_from(["", "not in the vocabulary: é"]),
)
def test_every_size_is_filled(
    size: tuple[int, int], cursor: int | None, sides: int, colour: str, note: str
) -> None:
    rows = texts(controller(cursor=cursor, sides=sides, colour=colour), note, *size)
    assert len(rows) == size[1]
    assert {width(r) for r in rows} == {size[0]}


def test_a_wide_tab_has_its_settings_and_candidates_beside_the_texts() -> None:
    rows = plain(texts(controller(cursor=20), "", 200, 46))
    assert "▸ Dense" in rows[0]
    assert "┬─ settings ─" in rows[0]
    beside = [line[-sidebar_columns(200, 46) :] for line in rows]
    assert any(line.startswith(" R repetition penalty  off") for line in beside)
    assert any("■ 4.5 nats" in line for line in beside)
    assert any("token raw % final %" in line for line in beside)
    assert not any("token raw %" in line for line in plain(texts(controller(), "", 200, 46)))
    assert "surprisal · mean of 4 tokens" in "".join(rows)


@pytest.mark.parametrize("size", [(80, 17), (140, 28)])
def test_without_a_cursor_the_last_line_says_what_colours_mean(size: tuple[int, int]) -> None:
    assert plain(texts(controller(), "", *size))[-1].startswith("─ surprisal  ■ <0.1")
    at_cursor = "\n".join(plain(texts(controller(cursor=20), "", *size)))
    assert "token raw % final %" in at_cursor
    assert ("■ <0.1" in at_cursor) == (size[0] > 80), "beside the facts, or out of the way"


@pytest.mark.parametrize("size", [(80, 17), (120, 28), (200, 46)])
def test_the_grid_of_candidates_is_the_one_that_is_drawn(size: tuple[int, int]) -> None:
    shown = controller(cursor=20)
    rows = plain(texts(shown, "", *size))
    heading = next(i for i, line in enumerate(rows) if "token raw % final %" in line)
    grid = candidate_grid(shown, *size)
    assert rows[heading].count("raw %") == grid.across
    assert len(rows) - heading - 1 == grid.down


@pytest.mark.parametrize("size", [(80, 17), (140, 28), (200, 46)])
@pytest.mark.parametrize("note", ["", "not in the vocabulary: é"])
def test_a_click_puts_the_cursor_on_the_token_that_is_drawn_there(
    size: tuple[int, int], note: str
) -> None:
    found = controller()
    for side, token in ((0, 0), (0, 30), (1, 7), (1, 33)):
        found.active, found.cursor = side, token
        places = [
            (x, y)
            for y, row in enumerate(texts(found, note, *size))
            for x, style in enumerate(s for span in row for s in [span.style] * len(span.text))
            if "reverse bold" in style
        ]
        before = found.active, found.cursor
        for x, y in places[:1]:
            click(found, note, size, x, y)
            assert (found.active, found.cursor) == before
    click(found, note, size, 0, 0)  # a heading
    assert (found.active, found.cursor) == before


def test_a_click_selects_an_entry_of_a_list_and_a_second_one_opens_it() -> None:
    found = controller()
    found.listed = [made("ab cde\n" * 5) for _ in range(5)]
    rows = plain(texts(found, "", 80, 22))
    y = [place for place, row in enumerate(rows) if " Dense · seed" in row][2]
    click(found, "", (80, 22), 4, y + 1)
    assert found.place == 2
    click(found, "", (80, 22), 4, y)
    assert not found.listed
