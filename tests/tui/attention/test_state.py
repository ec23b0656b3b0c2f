"""How the choices of the Attention tab follow each other."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.looks import HEADS, LAYERS, inspected
from tinygpt_tui.attention import layout, state
from tinygpt_tui.attention.state import AttentionState, Choice


def test_the_cursor_stays_within_the_causal_mask() -> None:
    shown = inspected(13)
    choice = Choice(query=5, key=5)
    assert state.move(choice, shown, keys=3).key == 5
    assert (
        state.move(choice, shown, queries=-3).query,
        state.move(choice, shown, queries=-3).key,
    ) == (2, 2)
    assert state.move(choice, shown, queries=99).query == 12


@given(st.integers(0, 66), st.integers(0, 66), st.integers(-2, 2), st.integers(-2, 2))
def test_pixels_of_a_pooled_map_are_walked_by_their_largest_weight(
    query: int, key: int, down: int, right: int
) -> None:
    shown = inspected(67)
    choice = Choice(level="head", query=query, key=min(key, query))
    matrix = shown.matrix(1, 1, "head")
    framed = layout.frame(choice, matrix, 40, 12, total=67)
    assert framed.pooled
    moved = state.move_pooled(choice, matrix, framed.pixels, down=down, right=right)
    assert 0 <= moved.key <= moved.query < 67


def test_the_grid_is_sorted_and_walked_in_its_order() -> None:
    shown = inspected(13)
    choice = Choice(ordered=True, statistic="entropy")
    made = AttentionState(choice=choice, shown=shown, statistics=shown.statistics)
    every = made.head_order()
    assert every[0] == (LAYERS - 1, HEADS - 1)
    moved = state.move_in_grid(replace(choice, layer=2, head=1), every, 1)
    assert (moved.layer, moved.head) == (2, 0)
    assert state.move_in_grid(replace(choice, layer=2, head=1), every, -1).head == 1
    assert state.cycle(choice, shown, heads=-1).head == HEADS - 1
    assert state.cycle(choice, shown, layers=LAYERS).layer == 0


def test_the_window_stays_until_the_cursor_leaves_it() -> None:
    shown = inspected(67)
    choice = Choice(level="window", query=3, key=3, factor=4)
    assert state.scrolled(choice, shown, 10, 10).origin == (0, 0)
    moved = state.scrolled(replace(choice, query=10), shown, 10, 10)
    assert moved.origin == (5, 0)
    assert state.scrolled(replace(moved, query=14), shown, 10, 10) is not None
    assert state.scrolled(replace(moved, query=66), shown, 10, 10).origin == (57, 0)


def test_a_statistic_that_is_missing_gives_way_to_the_first() -> None:
    shown = inspected(13)
    made = AttentionState(
        choice=Choice(statistic="induction"), shown=shown, statistics=shown.statistics
    )
    assert made.statistic == "entropy"
    assert AttentionState(choice=made.choice).statistic == "induction"
