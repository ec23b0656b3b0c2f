"""Which colour a style's name stands for.

Colours are entries of the 256-colour cube, so that a terminal without truecolor (every SSH session:
it does not forward COLORTERM) shows them as they were chosen. Dense is blue and MoE orange, a pair
that every kind of colour blindness tells apart; they also differ in brightness and in markers.
"""

from __future__ import annotations

from functools import cache

from rich.style import Style

DARK = {
    "dense": "#5fafff",
    "dense.bold": "bold #5fafff",
    "dense.faint": "#005f87",
    "moe": "#ff8700",
    "moe.bold": "bold #ff8700",
    "moe.faint": "#875f00",
    "muted": "#8a8a8a",
    "faint": "#585858",
    "strong": "bold #eeeeee",
    "text": "#d0d0d0",
    "good": "#5fd787",
    "warn": "#ffd75f",
    "bad": "bold #ff5f5f",
    "accent": "#afafff",
    "key": "bold #afafff",
    "bar": "#5f5f87",
    "cursor": "#ffd75f",
    "over.1": "#af87ff",
    "over.2": "#5fd7af",
    "over.3": "#d787af",
    "over.4": "#d7d75f",
}
LIGHT = {
    "dense": "#005faf",
    "dense.bold": "bold #005faf",
    "dense.faint": "#87afd7",
    "moe": "#af5f00",
    "moe.bold": "bold #af5f00",
    "moe.faint": "#d7af87",
    "muted": "#626262",
    "faint": "#a8a8a8",
    "strong": "bold #1c1c1c",
    "text": "#303030",
    "good": "#00875f",
    "warn": "#875f00",
    "bad": "bold #af0000",
    "accent": "#5f5faf",
    "key": "bold #5f5faf",
    "bar": "#afafd7",
    "cursor": "#af0000",
    "over.1": "#5f00af",
    "over.2": "#00875f",
    "over.3": "#af005f",
    "over.4": "#5f5f00",
}
NAMES = {"dense": "Dense", "moe": "MoE"}
"""The variants as they are shown."""
# Overlaid runs, in the order they are added: told apart from the two variants and each other.
OVERLAYS = ("over.1", "over.2", "over.3", "over.4")


@cache
def style(name: str, *, dark: bool = True) -> Style:
    """The style of a name; an unknown one is taken for a rich style definition itself."""
    if not name:
        return Style.null()
    return Style.parse((DARK if dark else LIGHT).get(name, name))
