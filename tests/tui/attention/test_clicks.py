"""Clicks in the Attention tab select what is drawn there."""

from dataclasses import replace

import pytest

from tests.helpers.looks import HEADS, LAYERS, attention_state, inspected
from tinygpt_tui.attention import view
from tinygpt_tui.attention.clicks import clicked
from tinygpt_tui.attention.state import AttentionState, Choice, Pin
from tinygpt_tui.render.cells import plain
from tinygpt_tui.render.heatmap import Paint

SIZES = pytest.mark.parametrize("size", [(80, 22), (120, 34), (200, 48)])


@SIZES
def test_each_head_of_the_grid(size: tuple[int, int]) -> None:
    made = attention_state(inspected(13), size, level="grid", layer=1, head=0)
    rows = plain(view.tab(made, *size))
    found = set()
    for layer in range(LAYERS):
        for head in range(HEADS):
            names = f"L{layer} H{head}", f"{layer}.{head}"
            places = [(y, row.find(n)) for y, row in enumerate(rows) if y > 1 for n in names]
            y, x = next(place for place in places if place[1] >= 0)
            choice = clicked(made, size, x, y)
            assert choice is not None
            assert (choice.layer, choice.head) == (layer, head)
            below = clicked(made, size, x, y + 1)
            assert below == choice
            found.add((choice.level, layer, head))
    assert ("head", 1, 0) in found, "the selected head is opened"
    assert ("grid", 1, 1) in found
    assert clicked(made, size, 0, 0) is None


def cursor_cells(made: AttentionState, size: tuple[int, int]) -> set[tuple[int, int]]:
    """Column and line of each cell of the cursor in a map, which glyphs show as O."""
    found = set()
    for y, row in enumerate(view.tab(made, *size)):
        x = 0
        for text, style in row:
            if style == "reverse" and text.strip("O") == "" and y > 2:
                found |= {(x + more, y) for more in range(len(text))}
            x += len(text)
    return found


@SIZES
@pytest.mark.parametrize("tokens", [7, 13, 73])
@pytest.mark.parametrize("level", ["head", "window"])
@pytest.mark.parametrize("pinned", [False, True])
def test_each_weight_of_a_map(
    size: tuple[int, int],
    tokens: int,
    level: str,
    pinned: bool,  # noqa: FBT001
) -> None:
    """With glyphs, each weight has lines of its own; the cursor is seen as the glyph O."""
    pin = Pin(inspected(tokens), 0, 0, "head") if pinned else None
    for query, key in ((tokens - 1, 0), (tokens // 2, tokens // 3), (3, 3)):
        made = attention_state(
            inspected(tokens),
            size,
            pin,
            level=level,
            query=query,
            key=key,
            paint=Paint(glyphs=True),
        )
        cells = {cell for cell in cursor_cells(made, size) if not pinned or cell[0] > size[0] // 2}
        assert cells
        elsewhere = replace(made, choice=replace(made.choice, query=tokens - 1, key=0))
        chosen = {cell: clicked(elsewhere, size, *cell) for cell in cells}
        for choice in set(chosen.values()):
            assert choice is not None
            at_once = {cell for cell in cells if chosen[cell] == choice}
            assert at_once <= cursor_cells(replace(made, choice=choice), size)


def test_masked_cells_and_the_surroundings_are_not_selected() -> None:
    size = (80, 22)
    made = attention_state(inspected(13), size, level="head", query=12, key=0)
    hits = [(x, y) for x in range(80) for y in range(22) if clicked(made, size, x, y)]
    choices = {(c.query, c.key) for x, y in hits if (c := clicked(made, size, x, y))}
    assert all(key <= query for query, key in choices)
    assert {key for _, key in choices} == set(range(13))
    assert min(y for _, y in hits) >= 3
    assert clicked(AttentionState(choice=Choice()), size, 5, 5) is None


@pytest.mark.parametrize(("size", "mode"), [((80, 22), "mean"), ((120, 34), "head")])
def test_each_character_of_the_text(size: tuple[int, int], mode: str) -> None:
    shown = inspected(73)
    made = attention_state(shown, size, level="text", query=0, mode=mode)
    for query in (0, 9, 40, 72):
        drawn = replace(made, choice=replace(made.choice, query=query))
        rows = view.tab(drawn, *size)
        places = [
            (x, y)
            for y, row in enumerate(rows)
            for x, style in enumerate(s for span in row for s in [span.style] * len(span.text))
            if style == "cursor+reverse"
        ]
        assert places
        for x, y in places:
            choice = clicked(made, size, x, y)
            assert choice is not None
            assert choice.query == query
