"""A matrix as rows of cells: pooled and scaled as NumPy says, and exactly as wide as asked."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinygpt_tui import theme
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Span, plain, width
from tinygpt_tui.render.heatmap import (
    BLANK,
    GUIDE,
    LEVELS,
    MASKED,
    POINTER,
    Floats,
    Paint,
    Pooling,
    View,
    codes,
    enlarge,
    heat,
    pixels,
    point,
    whole,
)

GLYPHS = Paint(glyphs=True)


def attention(size: int) -> Floats:
    """(size, size) of a head that looks at the token before and a little at all others."""
    weights = np.tril(np.full((size, size), 0.1, np.float32))
    weights[np.arange(1, size), np.arange(size - 1)] = 1
    weights[0, 0] = 1
    found: Floats = weights / weights.sum(1, keepdims=True)
    return found


def drawn(matrix: Floats, down: int, across: int, paint: Paint) -> list[str]:
    shown = pixels(matrix, whole(matrix), down, across, paint.pooling)
    canvas = enlarge(codes(shown, paint.scale, float(matrix.max())), shown.factor)
    return plain(heat(canvas, paint))


def test_a_previous_token_head_in_glyphs() -> None:
    assert drawn(attention(5), 5, 5, Paint(scale="linear", glyphs=True)) == [
        "@@        ",
        "%%..      ",
        "..%%..    ",
        "....##..  ",
        "......##..",
    ]


def test_half_blocks_hold_two_rows_and_merge_equal_runs() -> None:
    canvas = np.array([[0, 0, MASKED], [0, 0, 5], [3, POINTER, GUIDE]])
    assert heat(canvas, Paint("magma")) == [
        (Span("  ", "/magma.0"), Span("▀", "masked/magma.5")),
        (Span("▀", "magma.3"), Span("▀", "pointer"), Span("▀", "guide")),
    ]


def test_a_small_map_is_drawn_larger_by_a_whole_factor() -> None:
    shown = pixels(attention(5), whole(attention(5)), 13, 17)
    assert shown.factor == 2
    assert heatmap.bucket_words(shown, "max") == "1:1, drawn 2×"  # noqa: RUF001 - the sign
    assert enlarge(codes(shown, "sqrt", 1.0), 2).shape == (10, 10)


def by_hand(matrix: Floats, edges: tuple[list[int], list[int]], pooling: Pooling) -> Floats:
    """Bucket by bucket."""
    rows, columns = edges
    found = np.zeros((len(rows) - 1, len(columns) - 1), np.float32)
    for y in range(len(rows) - 1):
        for x in range(len(columns) - 1):
            inside = [
                matrix[q, k]
                for q in range(rows[y], rows[y + 1])
                for k in range(columns[x], columns[x + 1])
                if k <= q
            ]
            found[y, x] = 0 if not inside else max(inside) if pooling == "max" else np.mean(inside)
    return found


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("window", [None, View((3, 20), (2, 13))])
def test_pooling_is_numpys_and_leaves_out_masked_weights(
    pooling: Pooling, window: View | None
) -> None:
    matrix = np.tril(np.random.default_rng(0).random((23, 23), np.float32))
    shown = pixels(matrix, window or whole(matrix), 7, 5, pooling)
    edges = shown.rows.tolist(), shown.columns.tolist()
    np.testing.assert_allclose(shown.values, by_hand(matrix, edges, pooling), rtol=1e-5)
    span = window or View((0, 23), (0, 23))
    assert (edges[0][0], edges[0][-1]) == span.queries
    assert (edges[1][0], edges[1][-1]) == span.keys
    assert set(np.diff(shown.rows)) <= {2, 3, 4}
    for y, x in np.ndindex(*shown.masked.shape):
        assert shown.masked[y, x] == (edges[1][x] > edges[0][y + 1] - 1)


def test_the_size_of_a_bucket_is_said() -> None:
    matrix = attention(23)
    assert (
        heatmap.bucket_words(pixels(matrix, whole(matrix), 7, 7), "max") == "1 cell = 3-4×3-4, max"  # noqa: RUF001 - the sign
    )
    matrix = attention(22)
    words = heatmap.bucket_words(pixels(matrix, whole(matrix), 11, 11), "mean")
    assert words == "1 cell = 2×2, mean"  # noqa: RUF001 - the sign


def test_scales() -> None:
    row = np.array([[0.0, 0.25, 0.5, 1.0], [0.0, 0.1, 0.2, 0.1]], np.float32)
    shown = heatmap.Pixels(row, np.zeros((2, 4), np.bool_), np.arange(3), np.arange(5), 1)
    assert codes(shown, "linear", 1.0)[0].tolist() == [0, 3, 7, 13]
    assert codes(shown, "sqrt", 1.0)[0].tolist() == [0, 7, 9, 13]
    assert codes(shown, "row", 1.0).tolist() == [[0, 3, 7, 13], [0, 7, 13, 7]]
    assert codes(shown, "linear", 0.5)[0].tolist() == [0, 7, 13, 13]


def test_zero_is_not_masked() -> None:
    matrix = np.zeros((3, 3), np.float32)
    assert drawn(matrix, 3, 3, GLYPHS) == ["..    ", "....  ", "......"]
    shown = pixels(matrix, whole(matrix), 3, 3)
    assert (codes(shown, "sqrt", 0.0) == MASKED).sum() == 3


def test_the_cursor_leads_to_its_labels_through_masked_pixels_alone() -> None:
    matrix = attention(5)
    shown = pixels(matrix, whole(matrix), 5, 5)
    canvas = codes(shown, "linear", 1.0)
    before = canvas.copy()
    point(canvas, shown, 3, 2)
    changed = {(int(y), int(x)) for y, x in np.argwhere(canvas != before)}
    assert changed == {(0, 2), (1, 2), (3, 4), (3, 2)}
    assert canvas[3, 2] == POINTER
    assert {canvas[0, 2], canvas[1, 2], canvas[3, 4]} == {GUIDE}


def test_a_large_cell_under_the_cursor_keeps_its_colour() -> None:
    matrix = attention(3)
    shown = pixels(matrix, whole(matrix), 13, 13)
    canvas = enlarge(codes(shown, "linear", 1.0), shown.factor)
    point(canvas, shown, 2, 1)
    assert canvas[8:12, 4:8].tolist() == [
        [POINTER] * 4,
        [POINTER, 11, 11, POINTER],
        [POINTER, 11, 11, POINTER],
        [POINTER] * 4,
    ]


def test_largest_weights_of_first_queries_leave_colours_for_the_others() -> None:
    weights = np.tril(np.ones((41, 41), np.float32)) / np.arange(1, 42, dtype=np.float32)[:, None]
    assert heatmap.peak(weights) == pytest.approx(1 / 9)
    assert heatmap.peak(np.ones((1, 1), np.float32)) == 1.0
    assert heatmap.peak(np.zeros((0, 0), np.float32)) == 0.0


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", theme.MAPS)
def test_every_level_is_brighter_and_of_the_cube(name: str) -> None:
    colours = theme.MAPS[name]
    assert len(colours) == LEVELS
    brightness = [luminance(colour) for colour in colours]
    assert all(a < b for a, b in pairwise(brightness))
    for colour in colours:
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        grey = len(set(parts)) == 1 and (parts[0] - 8) % 10 == 0
        assert grey or set(parts) <= {0x00, 0x5F, 0x87, 0xAF, 0xD7, 0xFF}


@pytest.mark.parametrize("dark", [True, False])
def test_styles_of_the_palette(dark: bool) -> None:  # noqa: FBT001
    found = theme.style("viridis.3/magma.5", dark=dark)
    assert found.color is not None
    assert found.bgcolor is not None
    assert (found.color.name, found.bgcolor.name) == ("#005faf", "#af005f")
    assert theme.style("/viridis.3", dark=dark).color is None
    assert theme.style("bright/viridis.3+reverse", dark=dark).reverse


sizes = st.integers(1, 37)


@given(
    arrays.arrays(
        np.float32,
        st.integers(1, 41).map(lambda size: (size, size)),
        elements=st.floats(0, 1, width=32),
    ),
    st.tuples(sizes, sizes),
    st.builds(
        Paint,
        scale=st.sampled_from(["linear", "sqrt", "row"]),
        pooling=st.sampled_from(["max", "mean"]),
        glyphs=st.booleans(),
    ),
)
def test_any_map_in_any_window(matrix: Floats, size: tuple[int, int], paint: Paint) -> None:
    columns, lines = size
    down, across = heatmap.room(columns, lines, glyphs=paint.glyphs)
    shown = pixels(matrix, whole(matrix), down, across, paint.pooling)
    canvas = enlarge(codes(shown, paint.scale, heatmap.peak(matrix)), shown.factor)
    assert canvas.min() >= 0
    assert canvas.max() < BLANK
    point(canvas, shown, len(matrix) - 1, 0)
    rows = heat(canvas, paint)
    assert len(rows) <= lines
    widths = {width(cells) for cells in rows}
    assert len(widths) == 1
    assert widths.pop() <= max(columns, 2)
    if paint.glyphs:
        assert all(text.isascii() for text in plain(rows))
    if max(down, across) <= len(matrix) and down == across:
        assert canvas.shape == (down, across)


def test_a_large_map_takes_milliseconds() -> None:
    matrix = attention(256)
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        shown = pixels(matrix, whole(matrix), 60, 60)
        heat(codes(shown, "sqrt", 1.0), Paint())
        best = min(best, time.perf_counter() - began)
    assert best < 0.05  # a tenth of that where nothing else runs
