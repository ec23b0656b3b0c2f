"""The palette of terminals with 16 colours (TERM=xterm, screen, linux).

Such a terminal gets the nearest of its colours from rich, which gives two experts, or two curves,
the same one: nearness keeps neither hues apart nor a curve from its raw values. So the colours that
carry meaning are chosen here, by their names in `tinygpt_tui.theme`. All others are left to rich.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.color import Color as RichColor
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from tinygpt_tui import theme

DARK = {
    "dense": "bright_blue",
    "dense.faint": "blue",
    "moe": "bright_yellow",
    "moe.faint": "yellow",
    "over.1": "bright_magenta",
    "over.2": "bright_cyan",
    "over.3": "bright_red",
    "over.4": "bright_green",
    "accent": "bright_cyan",
    "heat.0": "bright_blue",
    "heat.1": "cyan",
    "heat.2": "green",
    "heat.3": "bright_green",
    "heat.4": "bright_yellow",
    "heat.5": "yellow",
    "heat.6": "bright_red",
    "heat.7": "bright_magenta",
    "expert.0": "bright_blue",
    "expert.1": "yellow",
    "expert.2": "bright_green",
    "expert.3": "bright_magenta",
    "expert.4": "bright_yellow",
    "expert.5": "cyan",
    "expert.6": "bright_red",
    "expert.7": "white",
    "share.0": "bright_blue",
    "share.1": "cyan",
    "share.2": "white",
    "share.3": "yellow",
    "share.4": "bright_yellow",
}
LIGHT = {
    "dense": "blue",
    "dense.faint": "bright_blue",
    "moe": "yellow",
    "moe.faint": "bright_red",
    "over.1": "magenta",
    "over.2": "green",
    "over.3": "bright_magenta",
    "over.4": "black",
    "heat.0": "cyan",
    "heat.1": "blue",
    "heat.2": "green",
    "heat.3": "green",
    "heat.4": "yellow",
    "heat.5": "yellow",
    "heat.6": "bright_red",
    "heat.7": "red",
    "expert.0": "blue",
    "expert.1": "yellow",
    "expert.2": "green",
    "expert.3": "magenta",
    "expert.4": "black",
    "expert.5": "cyan",
    "expert.6": "red",
    "expert.7": "bright_black",
    "share.0": "blue",
    "share.1": "cyan",
    "share.2": "white",
    "share.3": "bright_red",
    "share.4": "yellow",
}


class SixteenColorsFilter(LineFilter):
    """Replaces the theme's colours by those of this palette."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in colours of the terminal; `background` tells the dark theme."""
        dark = background.brightness < 0.5
        return [
            Segment(text, _replaced(style, dark) if style else style, control)
            for text, style, control in segments
        ]


@cache
def palette(*, dark: bool) -> Mapping[ColorTriplet, RichColor]:
    """The colour of the terminal for each colour of the theme."""
    colours, chosen = (theme.DARK, DARK) if dark else (theme.LIGHT, LIGHT)
    return {
        RichColor.parse(colours[name]).get_truecolor(): RichColor.parse(colour)
        for name, colour in chosen.items()
    }


@cache
def _replaced(style: Style, dark: bool) -> Style:  # noqa: FBT001 - for the cache
    return style + Style.from_color(_own(style.color, dark), _own(style.bgcolor, dark))


def _own(color: RichColor | None, dark: bool) -> RichColor | None:  # noqa: FBT001
    return None if color is None else palette(dark=dark).get(color.get_truecolor(), color)
