"""Short texts of the Train tab."""

from __future__ import annotations

import math

from tinygpt.escape import printable
from tinygpt_tui.theme import NAMES


def title(name: str) -> str:
    """A variant as it is called on screen."""
    return NAMES.get(name) or printable(name)


def digits(value: float | None, decimals: int) -> str:
    """A number with so many decimals; a dash if it is unknown."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{decimals}f}" if abs(value) < 1e4 else f"{value:.0e}"
