"""The colours of all style names.

All but the full colour maps are entries of the 256-colour cube, so that a terminal without
truecolor shows them unchanged; every SSH session is one, since COLORTERM is not forwarded. Dense is
blue and MoE orange, which can be told apart with any colour blindness; they also differ in
brightness and in markers.
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
    "token": "#303030",
    "bar": "#5f5f87",
    "cursor": "#ffd75f",
    "over.1": "#af87ff",
    "over.2": "#5fd7af",
    "over.3": "#d787af",
    "over.4": "#d7ff5f",
    # A token's surprisal and the like, from expected to surprising.
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
    # Load from far below uniform to far above.
    "share.0": "#5f87ff",
    "share.1": "#87afd7",
    "share.2": "#9e9e9e",
    "share.3": "#d7af87",
    "share.4": "#ff8700",
    "unknown": "bold #ff5f5f reverse",
    "masked": "#262626",
    "guide": "#6c6c6c",
    "pointer": "#ff87ff",
    "bright": "#eeeeee",
    "ink": "#080808",
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
    "token": "#e4e4e4",
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
    "share.0": "#005fd7",
    "share.1": "#5f87af",
    "share.2": "#8a8a8a",
    "share.3": "#af875f",
    "share.4": "#af5f00",
    "unknown": "bold #af0000 reverse",
    "masked": "#c6c6c6",
    "guide": "#8a8a8a",
    "pointer": "#ff5fff",
    "bright": "#eeeeee",
    "ink": "#080808",
}
# Perceptual colour maps: each level is brighter than the one before. They are the same in both
# themes, so that a level looks the same everywhere. For a terminal without truecolor, they are
# approximated in the 256-colour cube.
MAPS = {
    "viridis": (
        *("#5f005f", "#5f0087", "#5f00af", "#005f87", "#005faf", "#008787", "#0087af"),
        *("#00af87", "#5faf5f", "#5fd75f", "#87d75f", "#afd700", "#d7d700", "#ffd700"),
    ),
    "magma": (
        *("#000000", "#00005f", "#5f005f", "#5f0087", "#870087", "#af005f", "#d7005f"),
        *("#d75f5f", "#ff5f5f", "#ff875f", "#ffaf5f", "#ffd75f", "#ffd787", "#ffffaf"),
    ),
    "cividis": (
        *("#00005f", "#000087", "#005f87", "#5f5f87", "#6c6c6c", "#767676", "#878787"),
        *("#949494", "#afaf87", "#d7af5f", "#d7d75f", "#ffd75f", "#ffff5f", "#ffff87"),
    ),
}
# Colours of the maps at equal distances, between which the 256 of truecolor are interpolated.
ANCHORS = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
}
FULL = 256
"""Colours of a map with truecolor."""


def full_map(name: str) -> list[str]:
    """The `FULL` colours of a map, from dark to bright."""
    anchors = [bytes.fromhex(colour) for colour in ANCHORS[name].split()]
    colours = []
    for level in range(FULL):
        place, part = divmod(level * (len(anchors) - 1), FULL - 1)
        low, high = anchors[place], anchors[min(place + 1, len(anchors) - 1)]
        mixed = (round(a + (b - a) * part / (FULL - 1)) for a, b in zip(low, high, strict=True))
        colours.append("#" + bytes(mixed).hex())
    return colours


_LEVELS = {f"{name}.{i}": colour for name, map_ in MAPS.items() for i, colour in enumerate(map_)}
_LEVELS |= {
    f"{name}.full.{i}": colour for name in ANCHORS for i, colour in enumerate(full_map(name))
}
# Attributes in place of colours, for terminals without them.
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
    "share.0": "dim",
    "share.1": "dim",
    "share.2": "none",
    "share.3": "bold",
    "share.4": "bold underline",
}
EXPERTS = 8
"""Colours of experts."""
NAMES = {"dense": "Dense", "moe": "MoE"}
"""Display names of the variants."""
# Overlaid runs, in the order in which they are added.
OVERLAYS = ("over.1", "over.2", "over.3", "over.4")


def expert_style(expert: int) -> str:
    """The name of an expert's style; experts beyond `EXPERTS` share those of the first ones."""
    return f"expert.{expert % EXPERTS}"


@cache
def style(name: str, *, dark: bool = True, mono: bool = False) -> Style:
    """The style of a name; an unknown name is parsed as a rich style definition.

    "a+b" combines two styles, b over a; "a/b" is a's colour on b's, either may be empty. `mono` is
    for a terminal without colours.
    """
    if not name:
        return Style.null()
    first, _, second = name.partition("+")
    if second:
        return style(first, dark=dark, mono=mono) + style(second, dark=dark, mono=mono)
    text, slash, ground = name.partition("/")
    if slash:
        under = style(ground, dark=dark, mono=mono)
        return style(text, dark=dark, mono=mono) + Style(bgcolor=under.color)
    return Style.parse(_known(dark=dark, mono=mono).get(name, name))


@cache
def _known(*, dark: bool, mono: bool) -> dict[str, str]:
    """The style of each name."""
    return (DARK if dark else LIGHT) | _LEVELS | (MONO if mono else {})
