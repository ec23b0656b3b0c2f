"""Moves of the Attention tab's cursor at a size of the screen."""

from dataclasses import replace

import pytest

from tests.helpers.looks import attention_state, inspected
from tinygpt_tui.attention import cursor
from tinygpt_tui.attention.state import AttentionState, Choice

SIZE = (80, 22)


@pytest.mark.parametrize(
    ("layer", "head", "move", "expected"),
    [(1, 0, (1, 0), (1, 1)), (1, 1, (0, 1), (2, 1)), (0, 0, (-1, 0), (0, 0))],
)
def test_the_grid_moves_by_heads_and_by_lines_of_heads(
    layer: int, head: int, move: tuple[int, int], expected: tuple[int, int]
) -> None:
    made = attention_state(inspected(13), SIZE, level="grid", layer=layer, head=head)
    moved = cursor.moved(made, SIZE, *move)
    assert (moved.layer, moved.head) == expected


def test_a_map_moves_by_tokens_and_a_pooled_one_by_pixels() -> None:
    made = attention_state(inspected(13), SIZE, level="head", query=7, key=3)
    assert cursor.frame(made, made.choice, SIZE).pooled is False
    moved = cursor.moved(made, SIZE, 1, -2)
    assert (moved.query, moved.key) == (5, 4)
    made = attention_state(inspected(73), SIZE, level="head", query=50, key=3)
    assert cursor.frame(made, made.choice, SIZE).pooled
    assert cursor.moved(made, SIZE, 0, -1).query < 50


def test_the_text_moves_by_characters_and_by_lines_to_the_top_key() -> None:
    shown = inspected(73)
    made = attention_state(shown, SIZE, level="text", query=3, key=0)
    moved = cursor.moved(made, SIZE, 1, 0)
    assert (moved.query, moved.key) == (4, 1), "head 1 of layer 1 attends three tokens back"
    below = cursor.moved(replace(made, choice=moved), SIZE, 0, 1)
    assert "".join(shown.texts[: below.query]).count("\n") == 1
    assert cursor.moved(replace(made, choice=moved), SIZE, 0, -1) == moved


def test_a_window_adds_nothing_to_a_map_that_is_as_large() -> None:
    def redundant(size: int, factor: int = 0) -> bool:
        made = attention_state(inspected(size), SIZE, level="head", factor=factor)
        return cursor.window_is_redundant(made, SIZE)

    assert redundant(7)
    assert not redundant(7, factor=4)
    assert not redundant(73)
    nothing = AttentionState(choice=Choice())
    assert not cursor.window_is_redundant(nothing, SIZE)
    assert cursor.moved(nothing, SIZE, 1, 1) == nothing.choice
