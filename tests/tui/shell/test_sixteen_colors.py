"""Terminals with 16 colours: what has to be told apart has colours of its own."""

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from tinygpt_tui import theme
from tinygpt_tui.shell import sixteen_colors
from tinygpt_tui.shell.sixteen_colors import SixteenColorsFilter

GROUNDS = {True: Color(18, 18, 18), False: Color(224, 224, 224)}
CURVES = ("dense", "dense.faint", "moe", "moe.faint", *theme.OVERLAYS)
EXPERTS = tuple(f"expert.{expert}" for expert in range(theme.EXPERTS))


def number(name: str, *, dark: bool) -> int | None:
    """The colour, of 0 to 15, in which a terminal shows a name of the theme."""
    segment = Segment("x", theme.style(name, dark=dark))
    (shown,) = SixteenColorsFilter().apply([segment], GROUNDS[dark])
    assert shown.style
    assert shown.style.color
    return shown.style.color.downgrade(ColorSystem.STANDARD).number


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("names", [CURVES, EXPERTS])
def test_experts_and_curves_differ(names: tuple[str, ...], dark: bool) -> None:  # noqa: FBT001
    shown = {name: number(name, dark=dark) for name in names}
    assert len({*shown.values()}) == len(names), shown


@pytest.mark.parametrize("dark", [True, False])
def test_no_colour_of_the_theme_has_two_of_the_palette(dark: bool) -> None:  # noqa: FBT001
    colours, chosen = (
        (theme.DARK, sixteen_colors.DARK) if dark else (theme.LIGHT, sixteen_colors.LIGHT)
    )
    pairs = {(colours[name], colour) for name, colour in chosen.items()}
    assert len({theirs for theirs, _ in pairs}) == len(pairs)


def test_backgrounds_and_attributes_too() -> None:
    segments = [Segment("x", Style.parse("bold #d0d0d0 on #5fafff")), Segment("y")]
    first, second = SixteenColorsFilter().apply(segments, GROUNDS[True])
    assert first.style == Style.parse("bold #d0d0d0 on bright_blue")
    assert second == Segment("y")
