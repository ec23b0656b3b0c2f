"""Rows of cells as an SVG image, with blocks as rectangles, so that there are no gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from tinygpt_tui.render.bars import HEIGHTS
from tinygpt_tui.render.cells import Row, width

WIDE, HIGH, BASE = 8, 16, 12
"""Width, height and baseline of a cell, in units of the image."""
_GROUND = {True: ("#121212", "#d0d0d0"), False: ("#ffffff", "#303030")}


def svg(rows: Sequence[Row], style: Callable[[str], Style], *, dark: bool = True) -> str:
    """The image; `style` looks up the style of a name."""
    ground, ink = _GROUND[dark]
    columns = max(map(width, rows), default=0)
    size = f'width="{columns * WIDE}" height="{len(rows) * HIGH}"'
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" {size} shape-rendering="crispEdges"'
    parts = [
        f'{begin} font-family="monospace" font-size="13"><rect {size} fill="{ground}"/>',
    ]
    for line, cells in enumerate(rows):
        column = 0
        for text, name in cells:
            look = style(name)
            fore, back = _hex(look.color, ink), _hex(look.bgcolor, "")
            if look.reverse:
                fore, back = back or ground, fore
            parts += _span(text, column * WIDE, line * HIGH, fore, back, bold=bool(look.bold))
            column += cell_len(text)
    return "\n".join([*parts, "</svg>\n"])


def _span(text: str, x: int, y: int, fore: str, back: str, *, bold: bool) -> list[str]:
    across = cell_len(text) * WIDE
    parts = [_box(x, y, across, HIGH, back)] if back else []
    if text.strip(f"▀{HEIGHTS} ") or not text.strip():
        if text.strip():
            weight = ' font-weight="bold"' if bold else ""
            parts.append(
                f'<text x="{x}" y="{y + BASE}" textLength="{across}" fill="{fore}"{weight}'
                f' xml:space="preserve">{escape(text)}</text>'
            )
        return parts
    if "▀" in text:
        return [*parts, _box(x, y, across, HIGH // 2, fore)]
    filled = HIGH * (HEIGHTS.index(text.strip()[0]) + 1) // len(HEIGHTS)
    return [*parts, _box(x, y + HIGH - filled, across, filled, fore)]


def _box(x: int, y: int, wide: int, high: int, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="{colour}"/>'


def _hex(colour: Color | None, otherwise: str) -> str:
    return otherwise if colour is None or colour.is_default else colour.get_truecolor().hex
