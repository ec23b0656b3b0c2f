"""The Attention tab's rows at every level and size, and how its choices follow each other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.looks import HEADS, LAYERS, STEPS, scene, seen, weights
from tinygpt_tui import theme
from tinygpt_tui.attention import layout, readout, state, view
from tinygpt_tui.attention.scene import Scene
from tinygpt_tui.attention.state import LADDER, Choice, Pin
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.heatmap import Paint
from tinygpt_tui.render.svg import svg
from tinygpt_tui.render.text import mark


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("level", LADDER)
@pytest.mark.parametrize("size", [(80, 22), (120, 34)])
def test_snapshot_of_each_level(size: tuple[int, int], level: str, plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = seen(73)
    made = scene(shown, size, level=level, paint=Paint(glyphs=plain_glyphs))
    rows = view.tab(made, *size)
    name = f"attention-{level}-{size[0]}x{size[1]}"
    if plain_glyphs:
        name, rows = f"{name}-ascii", snapshots.as_ascii(rows)
    snapshots.check(name, rows)


def test_snapshot_of_a_comparison() -> None:
    held = Pin(seen(29, variant="moe"), 2, 0, "head")
    made = scene(seen(31), (80, 22), held, level="head")
    snapshots.check("attention-compared-80x22", view.tab(made, 80, 22))


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 130), st.integers(1, 40)),
    st.sampled_from(LADDER),
    st.sampled_from([1, 2, 13, 67]),
    st.sampled_from(["head", "mean", "rollout"]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_every_size_is_filled_exactly(
    size: tuple[int, int], level: str, tokens: int, mode: str, flags: tuple[bool, bool, bool]
) -> None:
    plain_glyphs, incoming, pinned = flags
    columns, lines = size
    shown = seen(tokens)
    pin = Pin(seen(5), 0, 0, "head") if pinned else None
    how = {"level": level, "mode": mode, "incoming": incoming}
    made = scene(shown, (columns, lines), pin, paint=Paint(glyphs=plain_glyphs), **how)
    rows = view.tab(made, columns, lines)
    assert [width(cells) for cells in rows] == [columns] * lines


@pytest.mark.parametrize("lines", [1, 3, 10])
def test_nothing_to_show_is_a_sentence(lines: int) -> None:
    rows = plain(
        view.tab(Scene(choice=Choice(), words="There is no run: n starts one."), 50, lines)
    )
    assert len(rows) == lines
    assert lines == 1 or "There is no run" in rows[1]
    rows = plain(view.tab(Scene(choice=Choice(), busy=True, steps=STEPS), 50, 9))
    assert "looking…" in rows[1]


def test_an_error_stands_where_the_text_was_and_the_map_stays() -> None:
    made = replace(scene(seen(29), (80, 22), level="head"), words="the engine ended: killed")
    rows = plain(view.tab(made, 80, 22))
    assert "the engine ended: killed" in rows[1]
    assert "query" in rows[2]
    assert "the engine ended" in plain(view.tab(made, 40, 10))[0]


def test_the_weight_under_the_cursor_is_exact() -> None:
    shown = seen(29)
    rows = "\n".join(plain(view.tab(scene(shown, (120, 34), level="head"), 120, 34)))
    weight = weights(29)[1, 1, 23, 20]
    assert f"weight {weight:.4f} no. 1 of 24" in rows
    assert "query l    at 24" in rows
    assert "1:1, drawn 2" in rows
    assert "layer 1 head 1" in rows


def test_strongest_keys_are_in_order_and_in_the_past() -> None:
    matrix = weights(29)[2, 1]
    found = readout.strongest(matrix, 11)
    expected = sorted(range(12), key=lambda key: -matrix[11, key])[:5]
    assert [key for key, _ in found] == expected
    assert len(readout.strongest(matrix, 1)) == 2


def test_wide_and_unprintable_characters_take_one_cell() -> None:
    shown = replace(seen(5), texts=("a", "界", "\x1b", "\n", " "))
    assert [mark(text) for text in shown.texts] == ["a", "□", "␛", "⏎", "∙"]
    for level in LADDER:
        rows = view.tab(scene(shown, (80, 22), level=level), 80, 22)
        assert {width(cells) for cells in rows} == {80}


def test_rollout_is_the_product_of_layers() -> None:
    shown = seen(7)
    expected = np.eye(7)
    for layer in shown.attention:
        expected = (layer.mean(0) + np.eye(7)) / 2 @ expected
    np.testing.assert_allclose(shown.matrix(2, 0, "rollout"), expected, rtol=1e-5)
    np.testing.assert_allclose(shown.matrix(1, 0, "mean"), shown.attention[1].mean(0))
    assert "approximation" in view.head_name(1, 0, "rollout")


def test_the_cursor_never_looks_into_the_future() -> None:
    shown = seen(13)
    choice = Choice(query=5, key=5)
    assert state.move(choice, shown, keys=3).key == 5
    assert (
        state.move(choice, shown, queries=-3).query,
        state.move(choice, shown, queries=-3).key,
    ) == (2, 2)
    assert state.move(choice, shown, queries=99).query == 12


@given(st.integers(0, 66), st.integers(0, 66), st.integers(-2, 2), st.integers(-2, 2))
def test_buckets_are_walked_by_their_largest_weight(
    query: int, key: int, down: int, right: int
) -> None:
    shown = seen(67)
    choice = Choice(level="head", query=query, key=min(key, query))
    matrix = shown.matrix(1, 1, "head")
    framed = layout.frame(choice, matrix, 40, 12, total=67)
    assert framed.pooled
    moved = state.move_buckets(choice, matrix, framed.pixels, down=down, right=right)
    assert 0 <= moved.key <= moved.query < 67


def test_the_grid_is_sorted_and_walked_in_its_order() -> None:
    shown = seen(13)
    choice = Choice(ordered=True, statistic="entropy")
    every = state.order(choice, shown.statistics, shown)
    assert every[0] == (LAYERS - 1, HEADS - 1)
    moved = state.walk(replace(choice, layer=2, head=1), every, 1)
    assert (moved.layer, moved.head) == (2, 0)
    assert state.walk(replace(choice, layer=2, head=1), every, -1).head == 1
    assert state.turn(choice, shown, heads=-1).head == HEADS - 1
    assert state.turn(choice, shown, layers=LAYERS).layer == 0


def test_the_window_stays_until_the_cursor_leaves_it() -> None:
    shown = seen(67)
    choice = Choice(level="window", query=3, key=3, factor=4)
    assert state.scrolled(choice, shown, 10, 10).origin == (0, 0)
    moved = state.scrolled(replace(choice, query=10), shown, 10, 10)
    assert moved.origin == (5, 0)
    assert state.scrolled(replace(moved, query=14), shown, 10, 10) is not None
    assert state.scrolled(replace(moved, query=66), shown, 10, 10).origin == (57, 0)


def test_the_picture_has_a_rectangle_for_each_half_and_no_gap() -> None:
    rows = view.tab(scene(seen(29), (80, 22), level="head"), 80, 22)
    made = svg(rows, theme.style)
    assert made.startswith("<svg")
    assert made.count("<rect") > 100
    assert "▀" not in made
    assert 'width="640" height="352"' in made
