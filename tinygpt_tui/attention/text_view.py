"""The text of the Attention tab, coloured by attention weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygpt_tui.attention.layout import Plan, wrapped_text
from tinygpt_tui.attention.legend import legend
from tinygpt_tui.attention.readout import top_tokens
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.render.heatmap import Floats, Paint
from tinygpt_tui.render.wrap import Flow


def coloured_text(
    state: AttentionState, shown: InspectedText, planned: Plan
) -> tuple[list[Row], list[Row]]:
    """The text coloured by the attention from or to the selected token, and the legend.

    If there is room, the text is repeated for each head of the layer.
    """
    choice = state.choice
    flow = wrapped_text(shown.texts, planned.columns)
    words = "attending queries" if choice.incoming else "attended keys"
    heads = range(shown.heads)
    if choice.mode != "head" or planned.body < len(heads) * (flow.height + 1):
        rows, most = _text_by(state.matrix, flow, choice, planned.body)
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
    """The lines around the selected token, and the largest weight."""
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
    """The heading of a head's text: its number and its top tokens."""
    sign = "▸" if chosen else " "
    style = f"{shown.variant}.bold" if chosen else "muted"
    return row(Span(f"{sign}head {choice.head}  ", style), *top_tokens(shown, choice, 3))


def weight_levels(weights: Floats, paint: Paint) -> heatmap.Codes:
    """(T,) the level of each weight, which is its colour."""
    line = heatmap.Pixels(
        weights[None, :],
        np.zeros((1, len(weights)), np.bool_),
        np.arange(2),
        np.arange(len(weights) + 1),
        1,
    )
    levels: heatmap.Codes = heatmap.codes(line, paint.scale, heatmap.peak(weights))[0]
    return levels
