"""The text of the Attention tab, coloured by attention weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygpt_tui.attention.layout import Plan, wrapped_text
from tinygpt_tui.attention.readout import top_tokens
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.render.heatmap import Floats, Paint
from tinygpt_tui.render.panel import rule
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.wrap import Flow


def coloured_text(
    state: AttentionState, shown: InspectedText, planned: Plan
) -> tuple[list[Row], str]:
    """The text coloured by the attention from or to the selected token, and the largest weight.

    If there is room, the text is repeated for each head of the layer, and of the layers around it.
    """
    choice = state.choice
    flow = wrapped_text(shown.texts, planned.columns)
    layers = planned.body // (shown.heads * (flow.height + 1))
    if choice.mode != "head" or not layers:
        rows, most = text_by(state.matrix, flow, choice, planned.body)
        return rows, f"{most:.3g}"
    rows = []
    for layer in around(choice.layer, layers, shown.layers):
        for head in range(shown.heads):
            here = replace(choice, layer=layer, head=head)
            chosen = (layer, head) == (choice.layer, choice.head)
            rows.append(_caption(shown, here, planned.columns, chosen=chosen))
            rows += text_by(shown.attention[layer, head], flow, choice, flow.height)[0]
    return rows, "max"


def text_by(
    matrix: Floats, flow: Flow, choice: Choice, lines: int, steps: int | None = None
) -> tuple[list[Row], float]:
    """The lines around the selected token, and the largest weight; in so many `steps` of colour,
    or in all of them."""
    places, at = np.arange(len(matrix)), choice.query
    weights = matrix[:, at] if choice.incoming else matrix[at]
    known = places >= at if choice.incoming else places <= at
    levels = weight_levels(weights, choice.paint)
    if steps is not None:
        each = -(-choice.paint.levels // steps)
        levels = np.minimum(levels // each * each + each // 2, choice.paint.levels - 1)
    rows: list[Row] = []
    for line in around(flow.place(at)[0], lines, flow.height):
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


def _caption(shown: InspectedText, choice: Choice, columns: int, *, chosen: bool) -> Row:
    """The title of a head's text: its number and its top tokens."""
    style = f"{shown.variant}.bold+reverse" if chosen else "muted"
    name = Span(f"L{choice.layer} H{choice.head}", style)
    return rule(row(name, " ", *top_tokens(shown, choice, 3)), columns, active=chosen)


def weight_levels(weights: Floats, paint: Paint) -> heatmap.Codes:
    """(T,) the level of each weight, which is its colour."""
    line = heatmap.Pixels(
        weights[None, :],
        np.zeros((1, len(weights)), np.bool_),
        np.arange(2),
        np.arange(len(weights) + 1),
    )
    levels: heatmap.Codes = heatmap.codes(line, paint, heatmap.peak(weights))[0]
    return levels
