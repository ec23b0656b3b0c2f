"""Small maps of several heads, each with its name and a statistic above it."""

from __future__ import annotations

from tinygpt_tui.attention.layout import Plan, thumbnails
from tinygpt_tui.attention.readout import number
from tinygpt_tui.attention.state import UNITS, WITHOUT, AttentionState
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, beside, fit, row
from tinygpt_tui.render.panel import rule

STRETCH = 3.0
"""How many times as wide as high a thumbnail is at most."""
FULL_NAME = 16
"""Columns of a thumbnail from which its name is written out, in a rule."""
MIN_LINES, MAX_LINES = 6, 13
"""Lines of a thumbnail beside a map, with its name."""


def grid(state: AttentionState, shown: InspectedText, planned: Plan) -> tuple[list[Row], list[str]]:
    """A thumbnail per head with a statistic above it, and what the statistic is."""
    choice = state.choice
    order = state.head_order()
    cut = thumbnails(shown.layers, shown.heads, planned.columns, planned.body)
    rows: list[Row] = []
    for line in range(choice.top, min(choice.top + cut.shown, cut.total)):
        heads = order[line * cut.across : (line + 1) * cut.across]
        high = cut.lines + (line < cut.spare)
        rows += beside([thumbnail(state, shown, at, cut.columns - 1, high) for at in heads])
    name = state.statistic
    unit = f" ({UNITS[name]})" if name in UNITS else ""
    baseline = state.uniform_baseline.get(name)
    title = "loss without" if name == WITHOUT else name
    short = title + (", sorted" if choice.ordered else "")
    words = [f"{title}{unit} above each" + (", sorted" if choice.ordered else ""), short]
    if baseline is not None:
        words = [f"{words[0]}, uniform baseline {number(name, baseline)}", *words]
    if cut.shown < cut.total:
        lines = f"lines {choice.top + 1}-{choice.top + cut.shown} of {cut.total}"
        words = [f"{text}, {lines}" for text in words] + words
    return rows, words


def heads_of_layer(
    state: AttentionState, shown: InspectedText, columns: int, lines: int
) -> list[Row]:
    """Thumbnails of the selected layer's heads, side by side or in several lines of them; none if
    they would be too small."""
    across = min(shown.heads, columns // FULL_NAME)
    if not across or lines // -(-shown.heads // across) < MIN_LINES:
        return []
    high = min(lines // -(-shown.heads // across), MAX_LINES)
    heads = [(state.choice.layer, head) for head in range(shown.heads)]
    rows: list[Row] = []
    for first in range(0, shown.heads, across):
        here = heads[first : first + across]
        rows += beside(
            [thumbnail(state, shown, at, columns // across - 1, high - 1) for at in here]
        )
    return rows


def thumbnail(
    state: AttentionState, shown: InspectedText, at: tuple[int, int], columns: int, lines: int
) -> list[Row]:
    """The map of a head in `lines`, below its name and the selected statistic."""
    choice = state.choice
    matrix = shown.attention[at]
    small = heatmap.fitted(matrix, columns - 1, lines, choice.paint, STRETCH)
    coded = heatmap.codes(small, choice.paint, heatmap.peak(matrix))
    drawn = heatmap.heat(heatmap.enlarge(coded, small.tall, small.wide), choice.paint)
    rows = [fit(row(" ", *cells), columns) for cells in drawn]
    rows += [fit((), columns)] * (lines - len(rows))
    values = state.statistics.get(state.statistic)
    value = number(state.statistic, values[at]) if values is not None else ""
    chosen = at == (choice.layer, choice.head)
    pinned = state.pin is not None and (state.pin.layer, state.pin.head) == at
    style = f"{shown.variant}.bold+reverse" if chosen else "muted"
    if columns < FULL_NAME:
        sign = "▸" if chosen else "=" if pinned else " "
        name = Span(f"{sign}{at[0]}.{at[1]} ", style)
        return [fit(row(name, Span(value, style if chosen else "text")), columns), *rows]
    name = Span(f"{'= ' if pinned else ''}L{at[0]} H{at[1]}", style)
    title = row(name, " ", Span(value, "strong" if chosen else "text"))
    return [rule(title, columns, active=chosen), *rows]
