"""The Attention tab as rows of cells: pure functions of its state."""

from __future__ import annotations

import numpy as np

from tinygpt_tui import theme
from tinygpt_tui.attention import readout
from tinygpt_tui.attention.layout import Plan, plan, thumbnails
from tinygpt_tui.attention.legend import legend
from tinygpt_tui.attention.maps import head_name, maps
from tinygpt_tui.attention.readout import named, number
from tinygpt_tui.attention.state import UNITS, AttentionState
from tinygpt_tui.attention.text_view import coloured_text
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.text import mark, sentence
from tinygpt_tui.render.timeline import checkpoint_parts, position, slider


def tab(state: AttentionState, columns: int, lines: int) -> list[Row]:
    """The tab in exactly `columns` and `lines`."""
    if columns < 1 or lines < 1:
        return []
    if state.shown is None or not state.shown.size:
        rows = _empty(state, columns, lines)
    else:
        rows = _filled(state, state.shown, columns, lines)
    rows = [fit(cells, columns) for cells in rows[:lines]]
    return rows + [fit((), columns)] * (lines - len(rows))


def _empty(state: AttentionState, columns: int, lines: int) -> list[Row]:
    words = state.message or ("computing…" if state.busy else "")
    rows = sentence(words, columns, "muted") if words else []
    timeline = [timeline_row(state, columns)] if state.timeline.steps and lines > 4 else []
    space = max(lines - len(rows) - len(timeline) - 1, 0)
    return [(), *rows[: lines - 1], *[()] * space, *timeline]


def _filled(state: AttentionState, shown: InspectedText, columns: int, lines: int) -> list[Row]:
    choice = state.choice
    pinned = state.pin is not None and choice.level in ("head", "window")
    planned = plan(choice, columns, lines, pinned=pinned)
    head = [title(state, shown, columns)]
    if state.message and planned.head < 2:
        head = sentence(state.message, columns, "warn")[:1]
    elif planned.head >= 2:
        text = sentence(state.message, columns, "warn")[:1] if state.message else None
        head += text or [text_row(state, shown, columns)]
    body, foot = _level(state, shown, planned)
    body = [*body[: planned.body], *[()] * (planned.body - len(body))]
    foot = [*foot, *([timeline_row(state, columns)] if planned.foot >= 2 else [])]
    below: list[Row] = []
    if planned.below:
        below = readout.below(state, shown, planned)
        below = [*below[: planned.below], *[()] * (planned.below - len(below))]
    return [*head, *body, *below, *foot]


def _level(
    state: AttentionState, shown: InspectedText, planned: Plan
) -> tuple[list[Row], list[Row]]:
    """The body of the tab at its level, and the legend."""
    match state.choice.level:
        case "grid":
            return grid(state, shown, planned)
        case "text":
            return coloured_text(state, shown, planned)
        case _:
            return maps(state, shown, planned)


# -- the lines around -----------------------------------------------------------------------------


def title(state: AttentionState, shown: InspectedText, columns: int) -> Row:
    """The model, its checkpoint, the head and its statistics; on the right, whether an inspection
    is pending."""
    choice = state.choice
    dot = Span(" · ", "faint")
    where = Span(head_name(choice.layer, choice.head, choice.mode), "strong")
    right = row(Span("computing… ", "accent")) if state.busy else ()
    space = columns - width(right)
    full, *shorter = _checkpoints(state, shown)
    left = row(*full, dot, where)
    for checkpoint in shorter:
        if width(left) > space:
            left = row(*checkpoint, dot, where)
    for statistic in state.statistics if choice.mode == "head" else ():
        more = row(*left, dot, *named(state, statistic))
        if width(more) > space:
            break
        left = more
    return row(*fit(left, space), *right)


def _checkpoints(state: AttentionState, shown: InspectedText) -> list[Row]:
    """The model and the checkpoint that is shown, in full and shorter."""
    dot = Span(" · ", "faint")
    timeline = state.timeline
    name = timeline.name if timeline.step == shown.step else None
    model = Span(theme.NAMES.get(shown.variant, shown.variant), f"{shown.variant}.bold")
    rows = []
    for of_name, val_loss in ((name, shown.val_loss), (name, None), (None, None)):
        rows.append(row(" ", model))
        for part in checkpoint_parts(of_name, shown.step, val_loss):
            rows[-1] = row(*rows[-1], dot, part)
    return rows


def text_row(state: AttentionState, shown: InspectedText, columns: int) -> Row:
    """The source of the text, as much of it as fits, and which part of it is shown."""
    end = shown.start + shown.size
    what = f" {state.source}: " if state.source else " "
    part = (
        f" {shown.total} character{'s' * (shown.total > 1)} "
        if shown.size == shown.total
        else f" characters {shown.start + 1}-{end} of {shown.total} "
    )
    space = columns - len(what) - len(part)
    marks = "".join(mark(text, 2) for text in shown.texts[: max(space, 0)])
    return row(
        Span(what, "muted"), *fit(row(Span(marks, "text")), max(space, 0)), Span(part, "muted")
    )


def timeline_row(state: AttentionState, columns: int) -> Row:
    """The checkpoints as a slider."""
    timeline, steps = state.timeline, state.timeline.steps
    step = state.shown.step if state.shown else None
    place = steps.index(step) if step in steps else len(steps) - 1
    best = timeline.best
    elsewhere = best if best != step else None
    words = position(len(steps), place, playing=timeline.playing, best=elsewhere)
    label = f" timeline  step {step:,} " if step is not None else " timeline "
    line = slider(
        len(steps),
        place,
        columns - len(label) - len(words) - 5,
        tick="┴",
        spacing=3,
        knob=f"{state.shown.variant}.bold" if state.shown else "strong",
        before="faint",
        best=None if best is None else steps.index(best),
    )
    if not line:
        return fit(row(Span(label + words, "muted")), columns)
    after = Span(f" {words}", "accent" if timeline.playing else "muted")
    return fit(row(Span(label, "muted"), *line, after), columns)


# -- all heads ------------------------------------------------------------------------------------


def grid(state: AttentionState, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[Row]]:
    """A thumbnail per head with a statistic under it, and the legend."""
    choice = state.choice
    order = state.head_order()
    cut = thumbnails(shown.layers, shown.heads, planned.columns, planned.body)
    rows: list[Row] = []
    for line in range(choice.top, min(choice.top + cut.shown, cut.total)):
        heads = order[line * cut.across : (line + 1) * cut.across]
        blocks = [_thumbnail(state, shown, at, cut.columns - 1, cut.lines) for at in heads]
        rows += beside(blocks)
    name = state.statistic
    unit = f" ({UNITS[name]})" if name in UNITS else ""
    baseline = state.uniform_baseline.get(name)
    short = name + (", sorted" if choice.ordered else "")
    words = [f"{name}{unit} under each" + (", sorted" if choice.ordered else ""), short]
    if baseline is not None:
        words = [f"{words[0]}, uniform baseline {number(name, baseline)}", *words]
    if cut.shown < cut.total:
        lines = f"lines {choice.top + 1}-{choice.top + cut.shown} of {cut.total}"
        words = [f"{text}, {lines}" for text in words] + words
    return rows, [legend(choice, "max", words, planned.columns)]


def _thumbnail(
    state: AttentionState, shown: InspectedText, at: tuple[int, int], columns: int, lines: int
) -> list[Row]:
    choice = state.choice
    matrix = shown.attention[at]
    down, across = heatmap.room(columns - 1, lines, glyphs=choice.paint.glyphs)
    across = min(across, 3 * down)
    small = heatmap.pixels(matrix, heatmap.whole(matrix), down, across, choice.paint.pooling)
    canvas = heatmap.codes(small, choice.paint.scale, heatmap.peak(matrix))
    high, wide = canvas.shape
    canvas = np.repeat(np.repeat(canvas, max(1, down // high), 0), max(1, across // wide), 1)
    rows = [fit(row(" ", *cells), columns) for cells in heatmap.heat(canvas, choice.paint)]
    rows += [fit((), columns)] * (lines - len(rows))
    values = state.statistics.get(state.statistic)
    value = number(state.statistic, values[at]) if values is not None else ""
    chosen = at == (choice.layer, choice.head)
    pinned = state.pin is not None and (state.pin.layer, state.pin.head) == at
    name = f"{at[0]}.{at[1]}" if columns < 13 else f"L{at[0]} H{at[1]}"
    sign = "▸" if chosen else "=" if pinned else " "
    style = f"{shown.variant}.bold+reverse" if chosen else "muted"
    caption = row(Span(f"{sign}{name} ", style), Span(f"{value} ", style if chosen else "text"))
    return [*rows, fit(caption, columns)]
