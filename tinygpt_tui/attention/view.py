"""What the Attention tab shows, as rows of cells: pure functions of what was seen and chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinygpt.formatting import loss
from tinygpt_tui import theme
from tinygpt_tui.attention.layout import Frame, Plan, frame, map_size, plan, thumbnails
from tinygpt_tui.attention.readout import _below, _most, named, number, panel
from tinygpt_tui.attention.scene import Scene, uniform_baselines
from tinygpt_tui.attention.state import UNITS, Choice, order
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.heatmap import Floats, Paint
from tinygpt_tui.render.text import mark, sentence
from tinygpt_tui.render.wrap import Flow


def tab(scene: Scene, columns: int, lines: int) -> list[Row]:
    """The tab in exactly so many columns and lines."""
    if columns < 1 or lines < 1:
        return []
    if scene.shown is None or not scene.shown.size:
        rows = _nothing(scene, columns, lines)
    else:
        rows = _something(scene, scene.shown, columns, lines)
    rows = [fit(cells, columns) for cells in rows[:lines]]
    return rows + [fit((), columns)] * (lines - len(rows))


def _nothing(scene: Scene, columns: int, lines: int) -> list[Row]:
    dots = "…"
    words = scene.words or (f"looking{dots}" if scene.busy else "")
    rows = sentence(words, columns, "muted") if words else []
    timeline = [timeline_row(scene, columns)] if scene.steps and lines > 4 else []
    space = max(lines - len(rows) - len(timeline) - 1, 0)
    return [(), *rows[: lines - 1], *[()] * space, *timeline]


def _something(scene: Scene, shown: InspectedText, columns: int, lines: int) -> list[Row]:
    choice = scene.choice
    pinned = scene.pin is not None and choice.level in ("head", "window")
    planned = plan(choice, columns, lines, pinned=pinned)
    head = [title(scene, shown, columns)]
    if scene.words and planned.head < 2:
        head = sentence(scene.words, columns, "warn")[:1]
    elif planned.head >= 2:
        text = sentence(scene.words, columns, "warn")[:1] if scene.words else None
        head += text or [text_row(scene, shown, columns)]
    body, foot = _level(scene, shown, planned)
    body = [*body[: planned.body], *[()] * (planned.body - len(body))]
    foot = [*foot, *([timeline_row(scene, columns)] if planned.foot >= 2 else [])]
    below: list[Row] = []
    if planned.below:
        below = _below(scene, shown, planned)
        below = [*below[: planned.below], *[()] * (planned.below - len(below))]
    return [*head, *body, *below, *foot]


def _level(scene: Scene, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """Body and legend."""
    match scene.choice.level:
        case "grid":
            return grid(scene, shown, planned)
        case "text":
            return coloured_text(scene, shown, planned)
        case _:
            return maps(scene, shown, planned)


# -- the lines around -----------------------------------------------------------------------------


def title(scene: Scene, shown: InspectedText, columns: int) -> Row:
    """Model, head, and what this head does; at the right, whether a look is on its way."""
    choice = scene.choice
    dot = Span(" · ", "faint")
    name = theme.NAMES.get(shown.variant, shown.variant)
    model = row(
        " ", Span(name, f"{shown.variant}.bold"), " ", Span(f"{shown.step:,}", "strong"), dot
    )
    val = row(Span(f"val {loss(shown.val_loss)}", "muted"), dot)
    where = head_name(choice.layer, choice.head, choice.mode)
    right = row(Span("looking… ", "accent")) if scene.busy else ()
    space = columns - width(right)
    left = row(*model, *val, Span(where, "strong"))
    if width(left) > space:
        left = row(*model, Span(where, "strong"))
    for statistic in scene.statistics if choice.mode == "head" else ():
        more = row(*left, dot, *named(scene, statistic))
        if width(more) > space:
            break
        left = more
    return row(*fit(left, space), *right)


def head_name(layer: int, head: int, mode: str) -> str:
    """Which numbers are shown."""
    if mode == "mean":
        return f"layer {layer} mean of heads"
    if mode == "rollout":
        return f"rollout to layer {layer} (approximation)"
    return f"layer {layer} head {head}"


def text_row(scene: Scene, shown: InspectedText, columns: int) -> Row:
    """Where the text is from, which part of it is looked at, and as much of it as fits."""
    end = shown.start + shown.size
    what = f" {scene.source}: " if scene.source else " "
    part = (
        f" {shown.total} character{'s' * (shown.total > 1)} "
        if shown.size == shown.total
        else f" characters {shown.start + 1}-{end} of {shown.total} "
    )
    space = columns - len(what) - len(part)
    marks = "".join(mark(text) for text in shown.texts[: max(space, 0)])
    return row(
        Span(what, "muted"), *fit(row(Span(marks, "text")), max(space, 0)), Span(part, "muted")
    )


def timeline_row(scene: Scene, columns: int) -> Row:
    """The checkpoints as a slider."""
    steps = scene.steps
    rail, knob = "─", "●"
    step = scene.shown.step if scene.shown else None
    place = steps.index(step) if step in steps else len(steps) - 1
    state = "playing" if scene.playing else "newest" if scene.following else ""
    words = f" {place + 1}/{len(steps)}" + (f" {state}" if state else "")
    label = f" timeline  step {step:,} " if step is not None else " timeline "
    room = min(columns - len(label) - len(words) - 4, 3 * max(len(steps) - 1, 1) + 1)
    if len(steps) < 2 or room < 5:
        return fit(row(Span(label + words.strip(), "muted")), columns)
    at = round(place * (room - 1) / (len(steps) - 1))
    ticks = {round(i * (room - 1) / (len(steps) - 1)) for i in range(len(steps))}
    tick = "┴"
    line = "".join(tick if i in ticks else rail for i in range(room))
    variant = scene.shown.variant if scene.shown else ""
    return fit(
        row(
            Span(label, "muted"),
            Span(line[:at], "faint"),
            Span(knob, f"{variant}.bold" if variant else "strong"),
            Span(line[at + 1 :], "faint"),
            Span(words, "accent" if scene.playing else "muted"),
        ),
        columns,
    )


def legend(choice: Choice, most: str, words: Sequence[str], columns: int) -> Row:
    """What the colours mean: from zero to which weight, on which scale.

    Of `words`, the first that fits: the size of a cell, or what is shown.
    """
    dot = Span(" · ", "faint")
    paint = choice.paint
    most = "row max" if paint.scale == "row" else most
    parts: list[Span | str] = [
        Span(" 0 ", "muted"),
        *heatmap.legend(paint, 7 if columns < 60 else 14 if columns < 100 else 28),
    ]
    parts += [Span(f" {most}", "text"), dot, Span(paint.scale, "text")]
    size = width(row(*parts))
    chosen = [text for text in words if size + width((dot,)) + len(text) <= columns][:1]
    candidates: list[list[Span | str]] = [
        [dot, Span(chosen[0], "text")] if chosen else [],
        [] if paint.glyphs else [dot, Span(paint.colours, "muted")],
        [dot, Span("the future", "muted"), "  " if paint.glyphs else Span("  ", "/masked")],
    ]
    for more in candidates:
        if width(row(*parts, *more)) <= columns:
            parts += more
    return fit(row(*parts), columns)


# -- all heads ------------------------------------------------------------------------------------


def grid(scene: Scene, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """Every layer and head as a thumbnail with a statistic under it."""
    choice = scene.choice
    every = order(choice, scene.statistics, shown)
    cut = thumbnails(shown.layers, shown.heads, planned.columns, planned.body)
    rows: list[Row] = []
    for line in range(choice.top, min(choice.top + cut.shown, cut.total)):
        heads = every[line * cut.across : (line + 1) * cut.across]
        blocks = [_thumbnail(scene, shown, at, cut.columns - 1, cut.lines) for at in heads]
        rows += beside(blocks)
    name = choice.statistic
    unit = f" ({UNITS[name]})" if name in UNITS else ""
    by = uniform_baselines(scene, shown).get(name)
    short = name + (", sorted" if choice.ordered else "")
    words = [f"{name}{unit} under each" + (", sorted" if choice.ordered else ""), short]
    if by is not None:
        words = [f"{words[0]}, by chance {number(name, by)}", *words]
    if cut.shown < cut.total:
        lines = f"lines {choice.top + 1}-{choice.top + cut.shown} of {cut.total}"
        words = [f"{text}, {lines}" for text in words] + words
    return rows, [legend(choice, "max", words, planned.columns)]


def _thumbnail(
    scene: Scene, shown: InspectedText, at: tuple[int, int], columns: int, lines: int
) -> list[Row]:
    choice = scene.choice
    matrix = shown.attention[at]
    down, across = heatmap.room(columns - 1, lines, glyphs=choice.paint.glyphs)
    across = min(across, 3 * down)
    small = heatmap.pixels(matrix, heatmap.whole(matrix), down, across, choice.paint.pooling)
    canvas = heatmap.codes(small, choice.paint.scale, heatmap.peak(matrix))
    high, wide = canvas.shape
    canvas = np.repeat(np.repeat(canvas, max(1, down // high), 0), max(1, across // wide), 1)
    rows = [fit(row(" ", *cells), columns) for cells in heatmap.heat(canvas, choice.paint)]
    rows += [fit((), columns)] * (lines - len(rows))
    values = scene.statistics.get(choice.statistic)
    value = number(choice.statistic, values[at]) if values is not None else ""
    chosen = at == (choice.layer, choice.head)
    pinned = scene.pin is not None and (scene.pin.layer, scene.pin.head) == at
    name = f"{at[0]}.{at[1]}" if columns < 13 else f"L{at[0]} H{at[1]}"
    sign = "▸" if chosen else "=" if pinned else " "
    style = f"{shown.variant}.bold+reverse" if chosen else "muted"
    caption = row(Span(f"{sign}{name} ", style), Span(f"{value} ", style if chosen else "text"))
    return [*rows, fit(caption, columns)]


# -- one map, or two ------------------------------------------------------------------------------


def maps(scene: Scene, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """The map, with the readout beside it; or two maps beside each other."""
    choice = scene.choice
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    pin = scene.pin
    wide, high = map_size(planned, pinned=pin is not None)
    framed = frame(choice, matrix, wide, high, total=shown.start + shown.size)
    size = heatmap.bucket_words(framed.pixels, choice.paint.pooling)
    words = [size, size.removeprefix("1 cell = ")]
    if pin is None:
        top = heatmap.peak(matrix)
        blocks = [fitted_block(heatmap_rows(shown, choice, framed, top), wide)]
        if planned.panel:
            blocks.append(panel(scene, shown, planned.panel, planned.body))
        return beside(blocks), [legend(choice, weight_of(top, matrix), words, planned.columns)]
    held = pin.shown.matrix(pin.layer, pin.head, pin.mode)
    top = max(heatmap.peak(matrix), heatmap.peak(held))
    other = frame(choice, held, wide, high, total=pin.shown.start + pin.shown.size)
    left = [map_title(pin.shown, head_name(pin.layer, pin.head, pin.mode), wide, "=")]
    left += heatmap_rows(pin.shown, choice, other, top)
    right = [map_title(shown, head_name(choice.layer, choice.head, choice.mode), wide, " ")]
    right += heatmap_rows(shown, choice, framed, top)
    rows = beside([fitted_block(left, wide), fitted_block(right, wide)], gap=2)
    return rows, [legend(choice, weight_of(top, matrix, held), words, planned.columns)]


def weight_of(top: float, *matrices: Floats) -> str:
    """The weight of the brightest colour; "+" if some are larger still."""
    more = any(float(matrix.max()) > top for matrix in matrices)
    return f"{top:.2f}" + ("+" if more else "")


def fitted_block(rows: list[Row], columns: int) -> list[Row]:
    """Rows of one width, so that what stands beside them does not move."""
    return [fit(cells, columns) for cells in rows]


def map_title(shown: InspectedText, what: str, columns: int, sign: str) -> Row:
    """Over a map of two: what it is of."""
    name = theme.NAMES.get(shown.variant, shown.variant)
    style = f"{shown.variant}.bold"
    words = f" {shown.step:,} {what}"
    return fit(row(Span(f"{sign}{name}", style), Span(words, "text")), columns)


def heatmap_rows(shown: InspectedText, choice: Choice, framed: Frame, top: float) -> list[Row]:
    """Labels of keys above, labels of queries at the left, the map."""
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
    small = framed.pixels
    each = small.factor * (2 if choice.paint.glyphs else 1)
    columns = (len(small.columns) - 1) * each
    cells = [" "] * columns
    at = heatmap.find(small.columns, key)
    if framed.pooled:
        step = max(1, 8 // each)
        for place in range(0, len(small.columns) - 1, step):
            text = str(shown.start + int(small.columns[place]) + 1)
            here = at is not None and place * each - 2 < at * each < place * each + len(text) + 1
            if not here and place * each + len(text) < columns:
                cells[place * each : place * each + len(text)] = text
    else:
        for place, position in enumerate(small.columns[:-1]):
            cells[place * each + each // 2] = mark(shown.texts[position])
    spans = [Span(cell, "muted") for cell in cells]
    if at is not None:
        spans[at * each + each // 2] = Span(
            mark(shown.texts[key]),
            "cursor+reverse",
        )
    return row(*spans)


def _query_labels(
    shown: InspectedText, choice: Choice, framed: Frame, lines: int, query: int
) -> list[Row]:
    """One label a line: the characters of its one or two queries, or a position now and then."""
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
            for place in here if not framed.pooled else [at]:
                assert place is not None
                position = query if place == at else int(small.rows[place])
                style = "cursor+reverse" if place == at else "muted"
                spans.append(
                    Span(
                        mark(shown.texts[position]),
                        style,
                    )
                )
        labels.append(fit(row(*fit(row(*spans), framed.margin - 1, "right"), " "), framed.margin))
    return labels


# -- the readout ----------------------------------------------------------------------------------


# -- the text -------------------------------------------------------------------------------------


def flow_of(shown: InspectedText, columns: int) -> Flow:
    """The text of the window as lines."""
    flow = Flow(max(columns - 2, 2))
    flow.extend(shown.texts)
    return flow


def coloured_text(scene: Scene, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """The text, coloured by where the chosen character looks, or by who looks at it.

    Where there is room, once for every head of the layer.
    """
    choice = scene.choice
    flow = flow_of(shown, planned.columns)
    words = "who looks at it" if choice.incoming else "where it looks"
    heads = range(shown.heads)
    if choice.mode != "head" or planned.body < len(heads) * (flow.height + 1):
        matrix = shown.matrix(choice.layer, choice.head, choice.mode)
        rows, most = _text_by(matrix, flow, choice, planned.body)
        return rows, [legend(choice, f"{most:.3g}", [words], planned.columns)]
    rows = []
    for head in heads:
        matrix = shown.attention[choice.layer, head]
        rows.append(_caption(shown, replace(choice, head=head), chosen=head == choice.head))
        rows += _text_by(matrix, flow, choice, flow.height)[0]
        if planned.body >= len(heads) * (flow.height + 2):
            rows.append(())
    return rows, [legend(choice, "max", [words], planned.columns)]


def _text_by(matrix: Floats, flow: Flow, choice: Choice, lines: int) -> tuple[list[Row], float]:
    """The lines around the chosen character, and the weight of the brightest."""
    places, at = np.arange(len(matrix)), choice.query
    weights = matrix[:, at] if choice.incoming else matrix[at]
    known = places >= at if choice.incoming else places <= at
    levels = weight_levels(weights, choice.paint)
    first = max(0, min(flow.place(at)[0] - lines // 2, flow.height - lines))
    rows: list[Row] = []
    for line in range(first, min(first + lines, flow.height)):
        spans = []
        for cell in flow.line(line):
            style = "faint"
            if cell.token == at:
                style = "cursor+reverse"
            elif known[cell.token]:
                style = heatmap.blend(int(levels[cell.token]), choice.paint)
            spans.append(Span(cell.text, style))
        rows.append(row(" ", *spans))
    return rows, float(weights.max())


def _caption(shown: InspectedText, choice: Choice, *, chosen: bool) -> Row:
    """Over a head's text: its number, and the strongest."""
    sign = "▸" if chosen else " "
    style = f"{shown.variant}.bold" if chosen else "muted"
    return row(Span(f"{sign}head {choice.head}  ", style), *_most(shown, choice, 3))


def weight_levels(weights: Floats, paint: Paint) -> heatmap.Codes:
    """(T,) levels of weights, the brightest for the largest."""
    line = heatmap.Pixels(
        weights[None, :],
        np.zeros((1, len(weights)), np.bool_),
        np.arange(2),
        np.arange(len(weights) + 1),
        1,
    )
    found: heatmap.Codes = heatmap.codes(line, paint.scale, heatmap.peak(weights))[0]
    return found
