"""What the Generate tab shows: its sides, and how their text is coloured."""

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
    """The layer whose experts colour the text."""
    marks: bool = False
    """Show spaces and newlines as visible marks."""
    boundaries: bool = False
    """Give every second token a faint background."""


@dataclass
class Side:
    """One column of the tab: a text under a heading."""

    title: str
    style: str = "strong"
    text: Text | None = None
    note: str = ""
    """A line under the heading: a newer checkpoint, or the settings compared."""
    flow: Flow | None = None
    """The text laid out in lines, cached between frames."""
    flow_key: tuple[object, ...] = ()
    """The text, width and marks that `flow` was laid out for."""
    bars: list[tuple[float, str]] = field(default_factory=list)
    """Value and style of each complete bar of the chart below the text, cached between frames."""
    bars_key: tuple[object, ...] = ()
    """The text, the tokens per bar and the measure that `bars` are for."""
