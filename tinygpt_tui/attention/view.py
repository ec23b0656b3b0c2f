"""The Attention tab as rows of cells: pure functions of its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinygpt_tui import theme
from tinygpt_tui.attention import readout
from tinygpt_tui.attention.layout import Plan, plan
from tinygpt_tui.attention.legend import legend
from tinygpt_tui.attention.maps import head_name, maps
from tinygpt_tui.attention.readout import named
from tinygpt_tui.attention.state import AttentionState
from tinygpt_tui.attention.text_view import coloured_text
from tinygpt_tui.attention.thumbnails import grid
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.panel import rule
from tinygpt_tui.render.text import sentence, whole_mark
from tinygpt_tui.render.timeline import checkpoint_parts, position, slider

RULE_ENDS = 7
"""Columns of a rule with something at both ends: the lines around these, and blanks."""


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
    level = state.choice.level
    if state.pin is not None and level not in ("head", "window"):
        state = replace(state, pin=None)
    planned = plan(state, columns, lines)
    body, most, words = _level(state, shown, planned)
    head = [title(state, shown, most, columns)]
    if state.message and planned.head < 2:
        head = sentence(state.message, columns, "warn")[:1]
    elif planned.head >= 2:
        text = sentence(state.message, columns, "warn")[:1] if state.message else None
        head += text or [text_row(state, shown, columns)]
    body = [*body[: planned.body], *[()] * (planned.body - len(body))]
    foot = [timeline_row(state, columns, words)] if planned.foot else []
    below: list[Row] = []
    if planned.below:
        below = readout.below(state, shown, planned)
        below = [*below[: planned.below], *[()] * (planned.below - len(below))]
    return [*head, *body, *below, *foot]


def _level(
    state: AttentionState, shown: InspectedText, planned: Plan
) -> tuple[list[Row], str, list[str]]:
    """The body of the tab at its level, the weight of the brightest colour, and what stands beside
    the timeline: the first of these words that fits."""
    match state.choice.level:
        case "grid":
            rows, words = grid(state, shown, planned)
            return rows, "max", words
        case "text":
            rows, most = coloured_text(state, shown, planned)
            return rows, most, ["attending queries" if state.choice.incoming else "attended keys"]
        case _:
            return maps(state, shown, planned)


# -- the lines around -----------------------------------------------------------------------------


def title(state: AttentionState, shown: InspectedText, most: str, columns: int) -> Row:
    """The model, its checkpoint and the head, and the legend; before it, whether an inspection is
    pending."""
    choice = state.choice
    dot = Span(" · ", "faint")
    where = Span(head_name(choice.layer, choice.head, choice.mode), "strong")
    pending = row(Span("computing… ", "accent")) if state.busy else ()
    right = row(*pending, *legend(choice, most, columns))
    room = columns - width(right) - RULE_ENDS
    full, *shorter = _checkpoints(state, shown)
    left = row(*full, dot, where)
    for checkpoint in shorter:
        if width(left) > room:
            left = row(*checkpoint, dot, where)
    for statistic in state.statistics if choice.level == "grid" else ():
        more = row(*left, dot, *named(state, statistic))
        if width(more) > room:
            break
        left = more
    return rule(left, columns, right=right if width(left) <= room else pending)


def _checkpoints(state: AttentionState, shown: InspectedText) -> list[Row]:
    """The model and the checkpoint that is shown, in full and shorter."""
    dot = Span(" · ", "faint")
    timeline = state.timeline
    name = timeline.name if timeline.step == shown.step else None
    model = Span(theme.NAMES.get(shown.variant, shown.variant), f"{shown.variant}.bold")
    rows = []
    for of_name, val_loss in ((name, shown.val_loss), (name, None), (None, None)):
        rows.append(row(model))
        for part in checkpoint_parts(of_name, shown.step, val_loss):
            rows[-1] = row(*rows[-1], dot, part)
    return rows


def text_row(state: AttentionState, shown: InspectedText, columns: int) -> Row:
    """The source of the text, as much of it as fits, and which part of it is shown."""
    end = shown.start + shown.size
    what = f" {state.source}: " if state.source else " "
    unit = "character" if shown.characters else "token"
    part = (
        f" {shown.total} {unit}{'s' * (shown.total > 1)} "
        if shown.size == shown.total
        else f" {unit}s {shown.start + 1}-{end} of {shown.total} "
    )
    space = columns - len(what) - len(part)
    marks = "".join(whole_mark(text) for text in shown.texts[: max(space, 0)])
    return row(
        Span(what, "muted"), *fit(row(Span(marks, "text")), max(space, 0)), Span(part, "muted")
    )


def timeline_row(state: AttentionState, columns: int, words: Sequence[str] = ()) -> Row:
    """The checkpoints as a slider in a rule, and the first of `words` for which there is room."""
    timeline, steps = state.timeline, state.timeline.steps
    step = state.shown.step if state.shown else None
    place = steps.index(step) if step in steps else len(steps) - 1
    best = timeline.best
    elsewhere = best if best != step else None
    where = position(len(steps), place, playing=timeline.playing, best=elsewhere)
    label = f"step {step:,} " if step is not None else "timeline "
    line = slider(
        len(steps),
        place,
        columns - len(label) - len(where) - RULE_ENDS,
        tick="┴",
        spacing=3,
        knob=f"{state.shown.variant}.bold" if state.shown else "strong",
        before="faint",
        best=None if best is None else steps.index(best),
    )
    after = Span(f" {where}" if line else where, "accent" if timeline.playing else "muted")
    left = row(Span(label, "muted"), *line, after)
    room = columns - width(left) - RULE_ENDS
    said = next((text for text in words if text and len(text) <= room), "")
    return rule(left, columns, right=row(Span(said, "muted")))
