"""Bars of one row: progress, the load of experts, sparklines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygpt.formatting import percent
from tinygpt_tui.render.cells import Row, Span, fit, row

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"
MIN_LOAD_WIDTH = 20
_TEXT = 5  # columns of a percentage and the space before it


def progress(fraction: float | None, width: int, style: str = "bar") -> Row:
    """A bar of exactly `width` columns, filled to an eighth of a column; empty if unknown."""
    known = fraction is not None and not math.isnan(fraction)
    part = min(max(fraction or 0.0, 0.0), 1.0) if known else 0.0
    width = max(width, 0)
    filled = _filled(part, width)
    return row(Span(filled, style), Span("─" * (width - len(filled)), "faint"))


def _filled(part: float, width: int) -> str:
    """Block characters for a part of the width, the last one as wide as it must be."""
    full, eighths = divmod(round(part * width * 8), 8)
    return "█" * full + (_EIGHTHS[eighths] if eighths else "")


def load_bars(load: Sequence[Sequence[float]], width: int, *, style: str = "moe") -> list[Row]:
    """A row a layer, with a bar an expert side by side, each of the share of tokens it reads.

    A full bar is twice the even share, 1/E, which is marked in its middle. An expert that reads
    nothing is "dead", in words where there is room. Where the bars would get narrower than two
    columns, an expert is one character as high as its load.
    """
    if width < MIN_LOAD_WIDTH:
        return [row(" " * max(width, 0)) for _ in load]
    digits = len(str(max(len(load) - 1, 0)))
    return [
        _layer(f"L{layer:<{digits}} ", shares, width, style=style)
        for layer, shares in enumerate(load)
    ]


def _layer(name: str, shares: Sequence[float], width: int, *, style: str) -> Row:
    experts = max(len(shares), 1)
    room = (width - len(name) - (experts - 1)) // experts
    head = Span(name, "muted")
    if room < 2:
        marks = [_mark(share * experts / 2, style=style) for share in shares]
        return fit(row(head, *marks), width)
    text = _TEXT if room >= 2 * _TEXT else 0
    parts: list[Span | str] = [head]
    for index, share in enumerate(shares):
        parts += [" "] if index else []
        parts += _expert(share, experts, room - text, style=style)
        parts += [Span(f"{percent(share):>{text}}", "muted")] if text else []
    return fit(row(*parts), width)


def _expert(share: float, experts: int, columns: int, *, style: str) -> Row:
    """The bar of one expert, `columns` wide, with the mark of the even share."""
    if not share > 0:  # NaN as well: nothing was routed at all
        dead = "dead" if columns >= 4 else "×"  # noqa: RUF001 - the cross
        return row(Span(dead, "bad"), Span("·" * (columns - len(dead)), "faint"))
    part = min(share * experts / 2, 1.0)
    mark, ground = "│", "·"
    filled = _filled(part, columns)
    filled = filled or "▏"  # alive, however little
    middle = (columns - 1) // 2
    rest = [Span(ground, "faint")] * (columns - len(filled))
    if len(filled) <= middle:
        rest[middle - len(filled)] = Span(mark, "muted")
        return row(Span(filled, style), *rest)
    before, after = filled[:middle], filled[middle + 1 :]
    reached = Span("┃", "strong")
    return row(Span(before, style), reached, Span(after, style), *rest)


def _mark(part: float, *, style: str) -> Span:
    if not part > 0:
        return Span("×", "bad")  # noqa: RUF001 - the cross
    heights = _HEIGHTS
    return Span(heights[min(int(part * len(heights)), len(heights) - 1)], style)


def spark(values: Sequence[float], width: int) -> str:
    """The last `width` values as characters from the lowest to the highest; a space for NaN."""
    shown = [float(value) for value in values][-width:] if width > 0 else []
    known = [value for value in shown if math.isfinite(value)]
    heights = _HEIGHTS
    low, high = min(known, default=0.0), max(known, default=0.0)
    top, scale = len(heights) - 1, (high / 2 - low / 2) * 2
    middle = heights[top // 2]
    text = "".join(
        " "
        if not math.isfinite(value)
        else heights[round((value - low) / scale * top)]
        if 0 < scale < math.inf
        else middle
        for value in shown
    )
    return text.rjust(max(width, 0))
