"""One-row bars: progress, and the load of experts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygpt.formatting import percent
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.scroll import around
from tinygpt_tui.theme import expert_style

_EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = "▁▂▃▄▅▆▇█"
MIN_LOAD_WIDTH = 20
_TEXT = 5  # columns of a percentage and the space before it


def progress(fraction: float, width: int, style: str = "bar") -> Row:
    """A bar of exactly `width` columns, filled to an eighth of a column; empty for NaN."""
    part = 0.0 if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    width = max(width, 0)
    filled = _filled(part, width)
    return row(Span(filled, style), Span("─" * (width - len(filled)), "faint"))


def _filled(part: float, width: int) -> str:
    """Block characters that fill a fraction of the width."""
    full, eighths = divmod(round(part * width * 8), 8)
    return "█" * full + (_EIGHTHS[eighths] if eighths else "")


def expert_names(experts: int, columns: int, chosen: int) -> list[Span]:
    """Each expert's number in its colour; if not all fit, those around `chosen`, between dots."""
    names = [f"■{expert} " for expert in range(experts)]
    shown, more = range(experts), Span("… ", "faint")
    if sum(map(len, names)) > columns:
        shown = around(chosen, max((columns - 4) // len(names[-1]), 1), experts)
    spans = [Span(names[expert], expert_style(expert)) for expert in shown]
    return [*[more] * (shown[0] > 0), *spans, *[more] * (shown[-1] < experts - 1)]


def load_bars(load: Sequence[Sequence[float]], width: int, *, style: str = "moe") -> list[Row]:
    """One row per layer with one bar per expert: the share of tokens routed to it, `load` (L, E).

    A full bar is twice the uniform load 1/E, which is marked in the middle. An expert without
    tokens is marked as dead. If bars would be narrower than two columns, each expert is one
    character whose height is its load.
    """
    if width < MIN_LOAD_WIDTH:
        return [row(" " * max(width, 0)) for _ in load]
    return [
        _layer(_name(layer, len(load)), shares, width, style=style)
        for layer, shares in enumerate(load)
    ]


def load_title(load: Sequence[Sequence[float]], width: int) -> str:
    """The heading of `load_bars`, which says so if not all experts fit."""
    experts = max(map(len, load), default=0)
    room = width - len(_name(0, len(load)))
    return (
        "expert load per layer" if experts <= room else f"load: experts 0-{room - 1} of {experts}"
    )


def _name(layer: int, layers: int) -> str:
    return f"L{layer:<{len(str(max(layers - 1, 0)))}} "


def _layer(name: str, shares: Sequence[float], width: int, *, style: str) -> Row:
    experts = max(len(shares), 1)
    room = (width - len(name) - (experts - 1)) // experts
    head = Span(name, "muted")
    if room < 2:
        marks = [_height(share * experts / 2, style=style) for share in shares]
        return fit(row(head, *marks), width)
    text = _TEXT if room >= 2 * _TEXT else 0
    parts: list[Span | str] = [head]
    for index, share in enumerate(shares):
        parts += [" "] if index else []
        parts += _expert(share, experts, room - text, style=style)
        parts += [Span(f"{percent(share):>{text}}", "muted")] if text else []
    return fit(row(*parts), width)


def _expert(share: float, experts: int, columns: int, *, style: str) -> Row:
    """The bar of one expert, `columns` wide, with a mark at the uniform load."""
    if not share > 0:  # or NaN: no token was routed
        dead = "dead" if columns >= 4 else "×"  # noqa: RUF001 - the cross
        return row(Span(dead, "bad"), Span("·" * (columns - len(dead)), "faint"))
    part = min(share * experts / 2, 1.0)
    filled = _filled(part, columns) or "▏"  # visible, since it is not dead
    middle = (columns - 1) // 2
    rest = [Span("·", "faint")] * (columns - len(filled))
    if len(filled) <= middle:
        rest[middle - len(filled)] = Span("│", "muted")
        return row(Span(filled, style), *rest)
    before, after = filled[:middle], filled[middle + 1 :]
    return row(Span(before, style), Span("┃", "strong"), Span(after, style), *rest)


def _height(part: float, *, style: str) -> Span:
    if not part > 0:
        return Span("×", "bad")  # noqa: RUF001 - the cross
    return Span(HEIGHTS[min(int(part * len(HEIGHTS)), len(HEIGHTS) - 1)], style)
