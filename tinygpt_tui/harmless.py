"""The last look at everything that is drawn: nothing a terminal would obey leaves the app.

Texts from files go through `printable` where they are read into a view, which shows a mark in their
place. This stands behind that, for the widget that forgets it: what is left is taken out.
"""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks of direction, and halves of characters, which cannot be written."""


class Harmless(LineFilter):
    """Takes out of each line what takes no column and is not to be shown."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments where all is well, as always."""
        del background
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [
            Segment(_OBEYED.sub(_shown, text), style, control) for text, style, control in segments
        ]


HARMLESS = Harmless()


def _shown(match: re.Match[str]) -> str:
    """As many columns as before: a half takes one, the others none."""
    return "�" if match[0] >= "\ud800" else ""
