"""One attention map with its labels, or two for comparison."""

from __future__ import annotations

from rich.cells import cell_len

from tinygpt_tui import theme
from tinygpt_tui.attention.layout import Frame, Plan, frame, map_size
from tinygpt_tui.attention.legend import legend
from tinygpt_tui.attention.readout import panel
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, beside, fit, row
from tinygpt_tui.render.heatmap import Floats
from tinygpt_tui.render.text import mark


def head_name(layer: int, head: int, mode: str) -> str:
    """The name of what a map shows."""
    if mode == "mean":
        return f"layer {layer} mean of heads"
    if mode == "rollout":
        return f"rollout to layer {layer} (approximation)"
    return f"layer {layer} head {head}"


def maps(state: AttentionState, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """The map beside the readout or beside the pinned map, and the legend."""
    choice = state.choice
    matrix, pin = state.matrix, state.pin
    wide, high = map_size(planned, pinned=pin is not None)
    framed = frame(choice, matrix, wide, high, total=shown.start + shown.size)
    size = heatmap.bucket_words(framed.pixels, choice.paint.pooling)
    words = [size, size.removeprefix("1 cell = ")]
    if pin is None:
        top = heatmap.peak(matrix)
        blocks = [fitted_block(heatmap_rows(shown, choice, framed, top), wide)]
        if planned.panel:
            blocks.append(panel(state, shown, planned.panel, planned.body))
        return beside(blocks), [legend(choice, peak_text(top, matrix), words, planned.columns)]
    top = max(heatmap.peak(matrix), heatmap.peak(pin.matrix))
    other = frame(choice, pin.matrix, wide, high, total=pin.shown.start + pin.shown.size)
    left = [map_title(pin.shown, head_name(pin.layer, pin.head, pin.mode), wide, "=")]
    left += heatmap_rows(pin.shown, choice, other, top)
    right = [map_title(shown, head_name(choice.layer, choice.head, choice.mode), wide, " ")]
    right += heatmap_rows(shown, choice, framed, top)
    rows = beside([fitted_block(left, wide), fitted_block(right, wide)], gap=2)
    return rows, [legend(choice, peak_text(top, matrix, pin.matrix), words, planned.columns)]


def peak_text(top: float, *matrices: Floats) -> str:
    """The weight of the brightest colour, with "+" if some weights are larger."""
    more = any(float(matrix.max()) > top for matrix in matrices)
    return f"{top:.2f}" + ("+" if more else "")


def fitted_block(rows: list[Row], columns: int) -> list[Row]:
    """The rows cut or padded to one width."""
    return [fit(cells, columns) for cells in rows]


def map_title(shown: InspectedText, what: str, columns: int, sign: str) -> Row:
    """The heading of one of two maps."""
    name = theme.NAMES.get(shown.variant, shown.variant)
    style = f"{shown.variant}.bold"
    words = f" {shown.step:,} {what}"
    return fit(row(Span(f"{sign}{name}", style), Span(words, "text")), columns)


def heatmap_rows(shown: InspectedText, choice: Choice, framed: Frame, top: float) -> list[Row]:
    """The map with keys above it and queries on its left."""
    small, paint = framed.pixels, choice.paint
    query = min(choice.query, shown.size - 1)
    key = min(choice.key, query)
    canvas = heatmap.enlarge(heatmap.codes(small, paint.scale, top), small.factor)
    heatmap.point(canvas, small, query, key)
    body = heatmap.heat(canvas, paint)
    above = row(" " * framed.margin, *_key_labels(shown, choice, framed, key))
    left = _query_labels(shown, choice, framed, len(body), query)
    return [above, *(row(*label, *cells) for label, cells in zip(left, body, strict=True))]


def _key_labels(shown: InspectedText, choice: Choice, framed: Frame, key: int) -> Row:
    """The character of each key above its column, or some positions if several keys share one; the
    character of the key under the cursor in either case."""
    small = framed.pixels
    each = small.factor * (2 if choice.paint.glyphs else 1)
    columns = (len(small.columns) - 1) * each
    cells = [Span(" ", "muted")] * columns

    def put(place: int, token: int, style: str) -> None:
        """Write a wide character over two columns, if each key has two or the next one is blank."""
        blank = framed.pooled and place * each + 1 < columns
        label = mark(shown.texts[token], 2 if each > 1 or blank else 1)
        wide = cell_len(label) - 1
        start = place * each + max(each // 2 - wide, 0)
        cells[start : start + 1 + wide] = [Span(label, style), *[Span("")] * wide]

    at = heatmap.find(small.columns, key)
    if framed.pooled:
        step = max(1, 8 // each)
        for place in range(0, len(small.columns) - 1, step):
            text = str(shown.start + int(small.columns[place]) + 1)
            here = at is not None and place * each - 2 < at * each < place * each + len(text) + 1
            if not here and place * each + len(text) < columns:
                cells[place * each : place * each + len(text)] = [Span(c, "muted") for c in text]
    else:
        for place, position in enumerate(small.columns[:-1]):
            put(place, int(position), "muted")
    if at is not None:
        put(at, key, "cursor+reverse")
    return row(*cells)


def _query_labels(
    shown: InspectedText, choice: Choice, framed: Frame, lines: int, query: int
) -> list[Row]:
    """One label per line: the characters of its one or two queries; if pooled, some positions."""
    small, factor = framed.pixels, framed.pixels.factor
    at = heatmap.find(small.rows, query)
    per = 1 if choice.paint.glyphs else 2  # pixels in a line
    labels: list[Row] = []
    for line in range(lines):
        inside = [pixel // factor for pixel in range(line * per, line * per + per)]
        here = [r for r in dict.fromkeys(inside) if r < len(small.rows) - 1]
        if factor > per:  # one label for the lines of a query, in their middle
            here = [r for r in here if (r * factor + factor // 2) // per == line]
        spans: list[Span | str] = []
        if framed.pooled and at not in here:
            if line % 4 == 0 and here:
                spans = [Span(str(shown.start + int(small.rows[here[0]]) + 1), "muted")]
        else:
            places = here if not framed.pooled else [at]
            for place in places:
                assert place is not None
                position = query if place == at else int(small.rows[place])
                style = "cursor+reverse" if place == at else "muted"
                label = mark(shown.texts[position], 2 if len(places) == 1 else 1)
                spans.append(Span(label, style))
        labels.append(fit(row(*fit(row(*spans), framed.margin - 1, "right"), " "), framed.margin))
    return labels
