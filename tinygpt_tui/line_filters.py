"""What every line passes before it is drawn, whichever widget it came from.

Text from files goes through `printable` where it is read into a view, which shows a mark in place
of what cannot be shown. `ControlCharacterFilter` stands after that, for the widget that forgets
it. `AsciiFilter` is all of ``--ascii``: views draw with the glyphs they like, and those of curves
and heatmaps that carry a meaning in their shape have ASCII forms of their own.
"""

from __future__ import annotations

import re
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks of direction, and lone surrogates, which cannot be encoded."""

_GLYPHS = (
    # Bars and heights keep their order: the fuller the cell, the darker the character.
    ("▁▂▃▄▅▆▇█", "_.-=+*%#"),
    ("▏▎▍▌▋▊▉", "...####"),
    ("▔▕▐▀░▒▓", '"||".:%'),
    ("■□●○◌✓✗†‖", "##*.~+x!="),  # states and marks
    ("▸▾▴▲▼▶◀→←↑↓", ">v^^v><><^v"),
    ("·∙…⏎–—−×", "-_.$---x"),  # noqa: RUF001 - as they are drawn
    ("‘’“”", "''\"\""),  # noqa: RUF001 - as they are drawn
)
_HORIZONTAL, _VERTICAL = "─━┄┅┈┉═╌╍╴╶╸╺", "│┃┆┇┊┋║╎╏╵╷╹╻"
_ASCII: dict[int, Any] = {
    ord(glyph): "+" for glyph in map(chr, range(0x2500, 0x2580))
}  # corners and crossings
_ASCII |= str.maketrans(_HORIZONTAL, "-" * len(_HORIZONTAL))
_ASCII |= str.maketrans(_VERTICAL, "|" * len(_VERTICAL))
for _glyphs, _characters in _GLYPHS:
    _ASCII |= str.maketrans(_glyphs, _characters)


def ascii_text(text: str) -> str:
    """The text in ASCII, as many columns wide; "?" for what has no likeness."""
    if text.isascii():
        return text
    return "".join(
        character if character.isascii() else "?" * cell_len(character)
        for character in text.translate(_ASCII)
    )


class ControlCharacterFilter(LineFilter):
    """Takes out of each line what a terminal would obey; the line stays as wide."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments where all is well, as nearly always."""
        del background
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [
            Segment(_CONTROL.sub(_replaced, text), style, control)
            for text, style, control in segments
        ]


class AsciiFilter(LineFilter):
    """Draws each line in ASCII; the line stays as wide."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments where they are ASCII already."""
        del background
        if all(text.isascii() for text, _, _ in segments):
            return segments
        return [Segment(ascii_text(text), style, control) for text, style, control in segments]


def _replaced(match: re.Match[str]) -> str:
    """As many columns as before: a surrogate takes one, the others none."""
    return "�" if match[0] >= "\ud800" else ""
