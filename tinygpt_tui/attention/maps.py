"""One attention map with its labels, or two for comparison."""

from __future__ import annotations

from rich.cells import cell_len

from tinygpt_tui import theme
from tinygpt_tui.attention.layout import Frame, Plan, frame_of, map_size
from tinygpt_tui.attention.side_panel import side_panel
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.heatmap import Floats
from tinygpt_tui.render.panel import rule, side_by_side
from tinygpt_tui.render.text import label


def head_name(layer: int, head: int, mode: str) -> str:
    """The name of what a map shows."""
    if mode == "mean":
        return f"layer {layer} mean of heads"
    if mode == "rollout":
        return f"rollout to layer {layer} (approximation)"
    return f"layer {layer} head {head}"


def maps(
    state: AttentionState, shown: InspectedText, planned: Plan
) -> tuple[list[Row], str, list[str]]:
    """The map beside the readout or beside the pinned map, its largest weight, and what a cell
    stands for."""
    choice = state.choice
    matrix, pin = state.matrix, state.pin
    wide, high = map_size(planned, pinned=pin is not None)
    framed = frame_of(choice, shown, matrix, (wide, high))
    size = heatmap.bucket_words(framed.pixels, choice.paint.pooling)
    words = [size, size.removeprefix("1 cell = ")]
    if pin is None:
        top = heatmap.peak(matrix)
        drawn = heatmap_rows(shown, choice, framed, top)
        if not planned.panel:
            return drawn, peak_text(top, matrix), words
        drawn += [()] * (planned.body - len(drawn))
        beside = side_panel(state, shown, planned.panel, planned.body)
        return side_by_side([drawn, beside], [wide, planned.panel]), peak_text(top, matrix), words
    top = max(heatmap.peak(matrix), heatmap.peak(pin.matrix))
    other = frame_of(choice, pin.shown, pin.matrix, (wide, high))
    left = [map_title(pin.shown, head_name(pin.layer, pin.head, pin.mode), wide, "= ")]
    left += heatmap_rows(pin.shown, choice, other, top)
    right = [map_title(shown, head_name(choice.layer, choice.head, choice.mode), wide, "")]
    right += heatmap_rows(shown, choice, framed, top)
    high = max(len(left), len(right), planned.body)
    blocks = [[*rows, *[()] * (high - len(rows))] for rows in (left, right)]
    return side_by_side(blocks, [wide, wide]), peak_text(top, matrix, pin.matrix), words


def peak_text(top: float, *matrices: Floats) -> str:
    """The weight of the brightest colour, with "+" if some weights are larger."""
    more = any(float(matrix.max()) > top for matrix in matrices)
    return f"{top:.2f}" + ("+" if more else "")


def map_title(shown: InspectedText, what: str, columns: int, sign: str) -> Row:
    """The title of one of two maps."""
    name = theme.NAMES.get(shown.variant, shown.variant)
    style = f"{shown.variant}.bold"
    return rule(row(Span(f"{sign}{name}", style), Span(f" {shown.step:,} {what}", "text")), columns)


def heatmap_rows(shown: InspectedText, choice: Choice, framed: Frame, top: float) -> list[Row]:
    """The map with keys above it and queries on its left."""
    small, paint = framed.pixels, choice.paint
    query = min(choice.query, shown.size - 1)
    key = min(choice.key, query)
    canvas = heatmap.enlarge(heatmap.codes(small, paint, top), small.tall, small.wide)
    heatmap.point(canvas, small, query, key, glyphs=paint.glyphs)
    body = heatmap.heat(canvas, paint)
    above = row(" " * framed.margin, *_key_labels(shown, framed, key))
    left = _query_labels(shown, framed, len(body), query)
    return [above, *(row(*label, *cells) for label, cells in zip(left, body, strict=True))]


def _key_labels(shown: InspectedText, framed: Frame, key: int) -> Row:
    """The token of each key above its column, or some positions if several keys share one; in
    either case that of the key under the cursor, in full if there is room to its right."""
    small = framed.pixels
    each, columns = small.wide, small.width
    cells = [Span(" ", "muted")] * columns

    def put(place: int, token: int, style: str, room: int = each - 1) -> None:
        """Write a wide character over two columns, if each key has two or the next one is blank;
        of a longer token as much as `room` columns hold."""
        blank = framed.pooled_keys and place * each + 1 < columns
        text = shown.texts[token]
        words = label(text, room if len(text) > 1 and room > 2 else 2 if each > 1 or blank else 1)
        wide = cell_len(words) - 1
        start = place * each + (0 if wide > 1 else max(each // 2 - wide, 0))
        end = start + 1 + wide
        if end < columns and not cells[end].text:  # the right half of a wide character
            cells[end] = Span(" ", "muted")
        cells[start:end] = [Span(words, style), *[Span("")] * wide]

    at = heatmap.find(small.columns, key)
    if framed.pooled_keys:
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
        put(at, key, "cursor+reverse", columns - at * each)
    return row(*cells)


def _query_labels(shown: InspectedText, framed: Frame, lines: int, query: int) -> list[Row]:
    """One label per line: the tokens of the queries whose middle it has; if pooled, some
    positions."""
    small = framed.pixels
    at = heatmap.find(small.rows, query)
    places: list[list[int]] = [[] for _ in range(lines)]
    for place in range(len(small.rows) - 1):
        places[heatmap.middle_line(place, small.tall)].append(place)
    labels: list[Row] = []
    for line, here in enumerate(places):
        spans: list[Span | str] = []
        if framed.pooled_queries and at not in here:
            if line % 4 == 0 and here:
                spans = [Span(str(shown.start + int(small.rows[here[0]]) + 1), "muted")]
        else:
            shown_here = [place for place in here if place == at or not framed.pooled_queries]
            columns = framed.margin - 1
            room = max(columns, 2)
            if len(shown_here) > 1:
                room = max((columns + 1) // len(shown_here) - 1, 1)
            for place in shown_here:
                position = query if place == at else int(small.rows[place])
                style = "cursor+reverse" if place == at else "muted"
                spans += [" "] if spans and room > 1 else []
                spans.append(Span(label(shown.texts[position], room), style))
        labels.append(fit(row(*fit(row(*spans), framed.margin - 1, "right"), " "), framed.margin))
    return labels
