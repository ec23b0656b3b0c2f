"""Draw the lines, blocks and braille dots of a Textual screenshot as shapes, not as glyphs.

GitHub shows an SVG without web fonts. In most other fonts half blocks leave gaps between the rows,
and braille dots have their own size and width. Text stays text.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterable

WIDTH, HEIGHT, TOP = 12.2, 24.4, 1.5
"""Of a cell, in SVG units, and where the first row begins: rich.console.Console.export_svg."""
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

TEXT = re.compile(
    r'<text class="(?P<style>[^"]+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" '
    r'textLength="[\d.]+" clip-path="[^"]+">(?P<text>.*?)</text>'
)
WORDS = re.compile(r"[^\s\u2500-\u259f\u2800-\u28ff]+(?:[ \xa0][^\s\u2500-\u259f\u2800-\u28ff]+)*")
BRAILLE_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille glyph."""
ARMS = {
    "─": "lr",
    "│": "ud",
    "┌": "rd",
    "┐": "ld",
    "└": "ru",
    "┘": "lu",
    "├": "udr",
    "┤": "udl",
    "┬": "lrd",
    "┴": "lru",
    "┼": "lrud",
    "━": "LR",
    "╸": "L",
    "╺": "R",
}
"""Box-drawing glyphs: which arms they have, upper case for heavy ones."""


def block(glyph: str) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of a block element, in cells."""
    code = ord(glyph) - 0x2580
    if code == 0:
        return 0, 0, 1, 0.5
    if 0 < code <= 8:  # lower eighths, up to the full block
        return 0, 1 - code / 8, 1, code / 8
    if 8 < code < 16:  # left eighths
        return 0, 0, (16 - code) / 8, 1
    return (0.5, 0, 0.5, 1) if glyph == "▐" else None


def rectangles(glyph: str) -> Iterable[tuple[float, float, float, float]]:
    """Of a block element or a box-drawing glyph, in SVG units from the corner of its cell."""
    if shape := block(glyph):
        left, top, width, height = shape
        yield left * WIDTH, top * HEIGHT, width * WIDTH, height * HEIGHT
    for arm in ARMS.get(glyph, ""):
        thick = 3.0 if arm.isupper() else 1.5
        x, y = (WIDTH - thick) / 2, (HEIGHT - thick) / 2
        yield {
            "l": (0, y, x + thick, thick),
            "r": (x, y, WIDTH - x, thick),
            "u": (x, 0, thick, y + thick),
            "d": (x, y, thick, HEIGHT - y),
        }[arm.lower()]


def dots(glyph: str) -> Iterable[tuple[float, float]]:
    """Centres of a braille glyph's dots, in SVG units from the corner of its cell."""
    for bit, (column, row) in enumerate(BRAILLE_DOTS):
        if 0x2800 <= ord(glyph) <= 0x28FF and (ord(glyph) - 0x2800) >> bit & 1:
            yield (column + 0.5) * WIDTH / 2, (row + 0.5) * HEIGHT / 4


def with_shapes(svg: str) -> str:
    """The screenshot with its drawing glyphs as paths, one per colour, and without web fonts."""
    colours = dict(re.findall(r"\.([\w-]+) \{ fill: (#\w+)", svg))
    filled: dict[str, list[str]] = defaultdict(list)
    dotted: dict[str, list[str]] = defaultdict(list)

    def draw(match: re.Match[str]) -> str:
        style, text = match["style"], html.unescape(match["text"])
        left, top = float(match["x"]), float(match["y"]) - 20 + TOP
        for index, glyph in enumerate(text):
            x = left + index * WIDTH
            for rx, ry, width, height in rectangles(glyph):
                corner = f"M{x + rx:.1f},{top + ry:.1f}"
                filled[style].append(f"{corner}h{width:.1f}v{height:.1f}h{-width:.1f}z")
            for dx, dy in dots(glyph):
                dotted[style].append(f"M{x + dx:.1f},{top + dy:.1f}h0")
        return "".join(
            f'<text class="{style}" x="{left + word.start() * WIDTH:.1f}" y="{match["y"]}" '
            f'textLength="{len(word[0]) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
            f"{html.escape(word[0])}</text>"
            for word in WORDS.finditer(text)
        )

    svg = TEXT.sub(draw, svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: (Fira Code, monospace|arial)", f"font-family: {FONT}", svg)
    svg = re.sub(r'<clipPath id="[\w-]+-line-\d+">.*?</clipPath>\s*', "", svg, flags=re.DOTALL)
    paths = [
        f'<path fill="{colours[s]}" shape-rendering="crispEdges" d="{"".join(d)}"/>'
        for s, d in filled.items()
    ]
    paths += [
        f'<path stroke="{colours[s]}" stroke-width="4" stroke-linecap="round" d="{"".join(d)}"/>'
        for s, d in dotted.items()
    ]
    matrix = re.search(r'<g class="[\w-]+-matrix">', svg)
    assert matrix
    svg = svg[: matrix.start()] + "\n".join(paths) + "\n" + svg[matrix.start() :]
    return re.sub(r"\s*\n\s*", "\n", svg)
