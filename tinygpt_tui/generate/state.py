"""What the Generate tab shows: its columns, and how their text is coloured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tinygpt_tui.generate.tree import Text
from tinygpt_tui.render.wrap import Flow

Colour: TypeAlias = Literal["plain", "surprisal", "probability", "entropy", "expert"]
COLOURS: tuple[Colour, ...] = ("plain", "surprisal", "probability", "entropy", "expert")


@dataclass(frozen=True)
class ViewOptions:
    """How the text is drawn."""

    colour: Colour = "plain"
    layer: int = 0
    """The layer whose expert colours a character."""
    marks: bool = False
    """Show spaces and new lines."""


@dataclass
class Side:
    """One column: a text under a heading."""

    title: str
    style: str = "strong"
    text: Text | None = None
    note: str = ""
    """A line under the heading: a newer checkpoint, or the settings compared."""
    flow: Flow | None = None
    """The text laid out in lines, kept between frames."""
    shown: tuple[object, ...] = field(default=())
    """The text, width and marks that `flow` was laid out for."""
