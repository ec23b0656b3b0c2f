"""Filters applied to every line of every widget before it is drawn.

Views already pass text from files through `printable`; `ControlCharacterFilter` is the second line
of defence, for a widget that forgets to. `AsciiFilter` implements ``--ascii`` for all views except
curves and heatmaps, whose glyphs encode values by shape: these draw ASCII themselves.
"""

from __future__ import annotations

import re
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, direction marks, and lone surrogates, which cannot be encoded."""

_GLYPHS = (
    # Bars and heights: the fuller the cell, the denser the character.
    ("▁▂▃▄▅▆▇█", "_.-=+*%#"),
    ("▏▎▍▌▋▊▉", "...####"),
    ("▔▕▐▀░▒▓", '-||".:%'),
    ("■□●○◌◷✓✗†‖◆", "##*o~:+x!=^"),  # states and marks
    ("▸▾▴▲▼▶◀→←↑↓", ">v^^v><><^v"),
    ("·∙…⏎–—−×", "._.$---x"),  # noqa: RUF001 - as drawn
    ("‘’“”", "''\"\""),  # noqa: RUF001 - as drawn
)
_HORIZONTAL, _VERTICAL = "─━┄┅┈┉═╌╍╴╶╸╺", "│┃┆┇┊┋║╎╏╵╷╹╻"
_ASCII: dict[int, Any] = {
    ord(glyph): "+" for glyph in map(chr, range(0x2500, 0x2580))
}  # corners and crossings
_ASCII |= str.maketrans(_HORIZONTAL, "-" * len(_HORIZONTAL))
_ASCII |= str.maketrans(_VERTICAL, "|" * len(_VERTICAL))
for _glyphs, _characters in _GLYPHS:
    _ASCII |= str.maketrans(_glyphs, _characters)
_ASCII[ord("🔎")] = "> "  # Textual's command palette
_SEPARATOR = " · "
"""Between facts; without the spaces, the dot is an empty cell of a bar."""


def ascii_text(text: str) -> str:
    """The text in ASCII, of the same width; "?" for characters without an equivalent."""
    if text.isascii():
        return text
    return "".join(
        character if character.isascii() else "?" * cell_len(character)
        for character in text.replace(_SEPARATOR, " | ").translate(_ASCII)
    )


class ControlCharacterFilter(LineFilter):
    """Removes control characters; lines keep their width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same list if there is nothing to remove, which is nearly always."""
        del background
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [
            Segment(_CONTROL.sub(_replacement, text), style, control)
            for text, style, control in segments
        ]


class AsciiFilter(LineFilter):
    """Replaces all characters by ASCII ones; lines keep their width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same list if all is ASCII already."""
        del background
        if all(text.isascii() for text, _, _ in segments):
            return segments
        return [Segment(ascii_text(text), style, control) for text, style, control in segments]


class FilterChain(LineFilter):
    """Several filters, one after the other, for which Textual keeps one line instead of many."""

    def __init__(self, *filters: LineFilter) -> None:
        super().__init__()
        self.filters = filters

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments after the last filter."""
        for each in self.filters:
            segments = each.apply(segments, background)
        return segments


def _replacement(match: re.Match[str]) -> str:
    """A replacement of the same width: one column for a surrogate, none for the others."""
    return "�" if match[0] >= "\ud800" else ""
