"""The legend of the colours of attention weights."""

from __future__ import annotations

from collections.abc import Sequence

from tinygpt_tui.attention.state import Choice
from tinygpt_tui.render import heatmap
from tinygpt_tui.render.cells import Row, Span, fit, row, width


def legend(choice: Choice, most: str, words: Sequence[str], columns: int) -> Row:
    """The colours from 0 to the weight `most`, their scale, and the first of `words` that fits."""
    dot = Span(" · ", "faint")
    paint = choice.paint
    most = "row max" if paint.scale == "row" else most
    parts: list[Span | str] = [
        Span(" 0 ", "muted"),
        *heatmap.legend(paint, 7 if columns < 60 else 14 if columns < 100 else 28),
    ]
    parts += [Span(f" {most}", "text"), dot, Span(paint.scale, "text")]
    swatch: Span | str = "  " if paint.glyphs else Span("  ", "/masked")
    colours = [] if paint.glyphs else [paint.colours]
    for alternatives in (
        [[dot, Span(text, "text")] for text in words],
        [[dot, Span(text, "muted")] for text in colours],
        [[dot, Span(text, "muted"), swatch] for text in ("masked (causal)", "masked")],
    ):
        fitting = (more for more in alternatives if width(row(*parts, *more)) <= columns)
        parts += next(fitting, [])
    return fit(row(*parts), columns)
