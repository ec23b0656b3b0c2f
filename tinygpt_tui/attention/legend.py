"""The legend of the colours of attention weights: in one line with the title."""

from __future__ import annotations

from tinygpt_tui.attention.state import Choice
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, row

NARROW, SWATCHES = 100, (8, 20)
"""In a tab of fewer columns, the colours take the first number of columns, else the second."""


def legend(choice: Choice, most: str, columns: int) -> Row:
    """The colours from 0 to the weight `most`, and their scale, for a tab of `columns`."""
    paint = choice.paint
    most = "row max" if paint.scale == "row" else most
    return row(
        Span("0 ", "muted"),
        *heatmap.legend(paint, SWATCHES[columns >= NARROW]),
        Span(f" {most}", "text"),
        Span(f" {paint.scale}" if paint.scale != "row" else "", "muted"),
    )
