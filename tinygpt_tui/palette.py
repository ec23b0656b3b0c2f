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
    "heat.0": "#5f87af",
    "heat.1": "#5fafd7",
    "heat.2": "#87d7af",
    "heat.3": "#d7d787",
    "heat.4": "#ffd75f",
    "heat.5": "#ffaf5f",
    "heat.6": "#ff875f",
    "heat.7": "#ff5f87",
    "expert.0": "#5fafff",
    "expert.1": "#ffaf5f",
    "expert.2": "#87d787",
    "expert.3": "#d787d7",
    "expert.4": "#d7d75f",
    "expert.5": "#5fd7d7",
    "expert.6": "#ff8787",
    "expert.7": "#afafaf",
    "unknown": "bold #ff5f5f reverse",
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
    "heat.0": "#5f87af",
    "heat.1": "#005f87",
    "heat.2": "#00875f",
    "heat.3": "#5f8700",
    "heat.4": "#875f00",
    "heat.5": "#af5f00",
    "heat.6": "#d75f00",
    "heat.7": "#af0000",
    "expert.0": "#005faf",
    "expert.1": "#af5f00",
    "expert.2": "#00875f",
    "expert.3": "#870087",
    "expert.4": "#5f5f00",
    "expert.5": "#008787",
    "expert.6": "#af0000",
    "expert.7": "#585858",
    "unknown": "bold #af0000 reverse",
}
# Levels of what a token's colour says, from expected to surprising, and experts; and both for where
# there are no colours.
MONO = {
    "heat.0": "dim",
    "heat.1": "dim",
    "heat.2": "none",
    "heat.3": "none",
    "heat.4": "underline",
    "heat.5": "underline",
    "heat.6": "bold underline",
    "heat.7": "reverse",
    "expert.0": "none",
    "expert.1": "underline",
    "expert.2": "bold",
    "expert.3": "reverse",
    "expert.4": "italic",
    "expert.5": "bold underline",
    "expert.6": "dim",
    "expert.7": "underline italic",
}
HEAT = EXPERTS = 8
NAMES = {"dense": "Dense", "moe": "MoE"}
"""The variants as they are shown."""
# Overlaid runs, in the order they are added: told apart from the two variants and each other.
OVERLAYS = ("over.1", "over.2", "over.3", "over.4")


@cache
def style(name: str, *, dark: bool = True, mono: bool = False) -> Style:
    """The style of a name; an unknown one is taken for a rich style definition itself.

    "a+b" is both, the second over the first. `mono` is for a terminal without colours.
    """
    if not name:
        return Style.null()
    first, _, second = name.partition("+")
    if second:
        return style(first, dark=dark, mono=mono) + style(second, dark=dark, mono=mono)
    known = DARK if dark else LIGHT
    return Style.parse((known | MONO if mono else known).get(name, name))
