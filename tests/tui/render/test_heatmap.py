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
    ACROSS,
    BLANK,
    DOWN,
    FULL_LEVELS,
    LEVELS,
    LINE,
    MASKED,
    POINTER,
    Floats,
    Paint,
    Pooling,
    View,
    codes,
    enlarge,
    fit_to,
    fitted,
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


def drawn(matrix: Floats, columns: int, lines: int, paint: Paint) -> list[str]:
    shown = fitted(matrix, columns, lines, paint)
    coded = codes(shown, paint, float(matrix.max()))
    return plain(heat(enlarge(coded, shown.tall, shown.wide), paint))


def test_a_previous_token_head_in_glyphs() -> None:
    assert drawn(attention(5), 13, 5, Paint(scale="linear", glyphs=True)) == [
        "@@        ",
        "%%..      ",
        "..%%..    ",
        "....##..  ",
        "......##..",
    ]


def test_two_rows_share_a_line_and_equal_runs_are_merged() -> None:
    canvas = enlarge(np.array([[0, 0, MASKED], [0, 0, 5], [3, POINTER, 7]]), 4, 1)
    assert heat(canvas, Paint("magma")) == [
        (Span("  ", "/magma.0"), Span("▄", "magma.5/masked")),
        (
            Span("▄", "magma.3+reverse"),
            Span("▄", "pointer+reverse"),
            Span("▄", "magma.7+reverse"),
        ),
    ]


def test_rows_of_seven_eighths_are_all_equally_high() -> None:
    """The ground shows below the last one, in the reversed part of its cells."""
    rows = heat(enlarge(np.arange(8)[:, None], 7, 2), Paint())
    assert plain(rows) == ["▁▁", "▂▂", "▃▃", "▄▄", "▅▅", "▆▆", "▇▇"]
    assert [row[0].style for row in rows] == [f"viridis.{n + 1}/viridis.{n}" for n in range(7)]
    rows = heat(enlarge(np.arange(2)[:, None], 7, 1), Paint())
    assert rows[1] == (Span("▂", "viridis.1+reverse"),)


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 150), st.integers(1, 50)),
    st.booleans(),
)
def test_a_fit_never_leaves_its_room_and_no_cell_has_three_colours(
    size: tuple[int, int],
    room: tuple[int, int],
    glyphs: bool,  # noqa: FBT001
) -> None:
    cut = fit_to(size, *room, Paint(glyphs=glyphs))
    assert 1 <= cut.down <= size[0]
    assert 1 <= cut.across <= size[1]
    assert cut.across * cut.wide <= room[0]
    assert cut.down * cut.tall <= room[1] * LINE
    canvas = enlarge(np.arange(cut.down)[:, None], cut.tall, 1).reshape(-1, LINE)
    assert max(len(set(line)) for line in canvas.tolist()) <= (1 if glyphs else 2)


@pytest.mark.parametrize(
    ("tokens", "room", "tall", "wide"),
    [
        (32, (50, 17), 4, 1),  # 80x24
        (32, (77, 30), 7, 2),  # 120x36
        (51, (152, 44), 6, 2),  # 200x50
        (13, (152, 44), 27, 11),
    ],
)
def test_weights_grow_with_the_room(
    tokens: int, room: tuple[int, int], tall: int, wide: int
) -> None:
    cut = fit_to((tokens, tokens), *room, Paint())
    assert (cut.down, cut.across) == (tokens, tokens)
    assert (cut.tall, cut.wide) == (tall, wide)


def test_a_map_is_drawn_larger_and_a_large_one_is_pooled() -> None:
    small = fitted(attention(5), 17, 7, Paint())
    assert (small.tall, small.wide, small.width) == (11, 3, 15)
    assert heatmap.bucket_words(small, "max") == "1:1"
    large = fitted(attention(64), 200, 5, Paint())
    assert large.values.shape == (10, 20), "twice as wide as high"


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
    shown = heatmap.Pixels(row, np.zeros((2, 4), np.bool_), np.arange(3), np.arange(5))
    assert codes(shown, Paint(scale="linear"), 1.0)[0].tolist() == [0, 3, 7, 13]
    assert codes(shown, Paint(scale="sqrt"), 1.0)[0].tolist() == [0, 7, 9, 13]
    assert codes(shown, Paint(scale="row"), 1.0).tolist() == [[0, 3, 7, 13], [0, 7, 13, 7]]
    assert codes(shown, Paint(scale="linear"), 0.5)[0].tolist() == [0, 7, 13, 13]


def test_truecolor_has_256_steps() -> None:
    weights = np.linspace(0, 1, 1000, dtype=np.float32)[None, :]
    shown = heatmap.Pixels(weights, np.zeros((1, 1000), np.bool_), np.arange(2), np.arange(1001))
    full = Paint(scale="linear", full=True)
    coded = codes(shown, full, 1.0)[0]
    assert sorted(set(coded.tolist())) == list(range(FULL_LEVELS))
    assert heat(enlarge(coded[None, -1:], 8, 1), full) == [(Span(" ", "/viridis.full.255"),)]
    assert heatmap.blend(200, full) == "ink/viridis.full.200"
    assert Paint(full=True, glyphs=True).levels == LEVELS, "glyphs have no colours"


def test_zero_is_not_masked() -> None:
    matrix = np.zeros((3, 3), np.float32)
    assert drawn(matrix, 7, 3, GLYPHS) == ["..    ", "....  ", "......"]
    assert (codes(fitted(matrix, 3, 3, Paint()), Paint(), 0.0) == MASKED).sum() == 3


def test_the_cursor_leads_to_its_labels_through_masked_cells_alone() -> None:
    shown = fitted(attention(5), 5, 5, GLYPHS)
    canvas = enlarge(codes(shown, GLYPHS, 1.0), shown.tall, shown.wide)
    before = canvas.copy()
    point(canvas, shown, 3, 2, glyphs=True)
    lines, columns = canvas[::LINE], before[::LINE]
    changed = {(int(y), int(x)) for y, x in np.argwhere(lines != columns)}
    assert changed == {(0, 2), (1, 2), (3, 4), (3, 2)}
    assert lines[3, 2] == POINTER
    assert (lines[0, 2], lines[1, 2], lines[3, 4]) == (DOWN, DOWN, ACROSS)


def test_a_large_weight_under_the_cursor_keeps_its_colour() -> None:
    shown = pixels(attention(3), whole(attention(3)), 3, 3)._replace(tall=16, wide=4)
    canvas = enlarge(codes(shown, Paint(scale="linear"), 1.0), 16, 4)
    point(canvas, shown, 2, 1)
    cells = canvas[32:48, 4:8]
    assert (cells[2:-2, 1:-1] == 11).all()
    assert (cells == POINTER).sum() == 16 * 4 - 12 * 2


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


@pytest.mark.parametrize("name", theme.MAPS)
def test_the_maps_of_truecolor_and_of_256_colours_look_alike(name: str) -> None:
    """Each of the 14 colours is about where the full map has it."""
    full = theme.full_map(name)
    assert len(full) == FULL_LEVELS
    assert len(set(full)) >= FULL_LEVELS - 2
    brightness = [luminance(colour) for colour in full]
    assert all(a <= b + 0.001 for a, b in pairwise(brightness))
    for level, colour in enumerate(theme.MAPS[name]):
        place = min(range(FULL_LEVELS), key=lambda i: distance(full[i], colour))
        assert abs(place / 255 - level / (LEVELS - 1)) < 1 / 3


def distance(colour: str, other: str) -> int:
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return sum((a - b) ** 2 for a, b in pairs)


@pytest.mark.parametrize("dark", [True, False])
def test_styles_of_the_palette(dark: bool) -> None:  # noqa: FBT001
    found = theme.style("viridis.3/magma.5", dark=dark)
    assert found.color is not None
    assert found.bgcolor is not None
    assert (found.color.name, found.bgcolor.name) == ("#005f87", "#af005f")
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
        full=st.booleans(),
    ),
)
def test_any_map_in_any_window(matrix: Floats, size: tuple[int, int], paint: Paint) -> None:
    columns, lines = size
    shown = fitted(matrix, columns, lines, paint)
    canvas = enlarge(codes(shown, paint, heatmap.peak(matrix)), shown.tall, shown.wide)
    assert canvas.min() >= 0
    assert canvas.max() <= BLANK
    point(canvas, shown, len(matrix) - 1, 0, glyphs=paint.glyphs)
    rows = heat(canvas, paint)
    assert len(rows) <= lines
    assert {width(cells) for cells in rows} == {shown.width}
    assert shown.width <= columns
    if paint.glyphs:
        assert all(text.isascii() for text in plain(rows))


def test_a_large_map_takes_milliseconds() -> None:
    matrix = attention(256)
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        shown = pixels(matrix, whole(matrix), 60, 60)
        heat(enlarge(codes(shown, Paint(full=True), 1.0), 4, 2), Paint(full=True))
        best = min(best, time.perf_counter() - began)
    assert best < 0.05  # a tenth of that where nothing else runs
