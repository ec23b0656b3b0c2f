"""The load of each expert through training, and how balanced each layer is, as rows of cells.

A cell of the load is as high as the share, where half of it is the even share 1/E and all of it
twice that; its colour says the same again: blue below, grey at, orange above.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygpt.analysis import routing
from tinygpt.analysis.routing import Floats
from tinygpt.formatting import percent
from tinygpt.run import RoutingRecord
from tinygpt_tui import theme
from tinygpt_tui.engine.results import RoutingSurvey
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.table import Column, table

BOUNDS = (0.5, 0.8, 1.25, 2.0)
"""Of a share over the even one: where one style ends and the next begins."""
_HEIGHTS, _ASCII_HEIGHTS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_HEAD, _TAIL = 6, 5
"""Columns of "L0 0 " and of " 25%" at each row."""
NARROWEST = 22
"""Columns that a layer takes at least, where several stand side by side."""


def share_style(ratio: float) -> str:
    """Of a share over the even one, or of a lift: 1 is neutral."""
    return "faint" if math.isnan(ratio) else f"share.{bisect_right(BOUNDS, ratio)}"


def expert_style(expert: int) -> str:
    """Each expert has its colour, as far as there are colours."""
    return f"expert.{expert % theme.EXPERTS}"


def mark(share: float, experts: int) -> Span:
    """One cell of the load."""
    if math.isnan(share):
        return Span(" ")
    if share <= 0:
        return Span("×", "bad")  # noqa: RUF001 - the cross
    heights = _HEIGHTS
    place = min(max(math.ceil(share * experts / 2 * 8) - 1, 0), 7)
    return Span(heights[place], share_style(share * experts))


def through_time(records: Sequence[RoutingRecord], columns: int) -> tuple[Floats, tuple[int, int]]:
    """(L, E, columns) load from the first record to the last, and their steps.

    A column is the mean of the records in its stretch of steps; without one, that of the record
    nearest to it.
    """
    loads = np.array([record.load for record in records], np.float64)  # (R, L, E)
    steps = np.array([record.step for record in records], np.float64)
    first, last = float(steps[0]), float(steps[-1])
    edges = np.linspace(first, max(last, first + 1), columns + 1)
    found = np.empty((*loads.shape[1:], columns))
    for column in range(columns):
        low, high = edges[column], edges[column + 1]
        inside = (steps >= low) & ((steps < high) | (column == columns - 1))
        if inside.any():
            found[..., column] = loads[inside].mean(0)
        else:
            found[..., column] = loads[np.abs(steps - (low + high) / 2).argmin()]
    return found, (int(first), int(last))


def arrange(layers: int, experts: int, columns: int, lines: int) -> tuple[int, int]:
    """Layers side by side, and rows of layers, that fit: as few side by side as can be."""
    widest = max(1, columns // NARROWEST)
    for across in range(1, widest + 1):
        down = -(-layers // across)
        if down * experts <= lines:
            return across, down
    return widest, max(1, lines // experts)


def load_block(
    records: Sequence[RoutingRecord],
    columns: int,
    lines: int,
    *,
    layer: int = 0,
    at: int | None = None,
) -> list[Row]:
    """A heading, the rows of all layers (or those around `layer`), the steps under them; the step
    `at` of the checkpoint that is looked at is marked among these."""
    if not records:
        words = "The load comes with the first evaluation."
        return [fit(row(Span(f" {words}", "muted")), columns)]
    layers, experts = np.shape(records[-1].load)
    across, down = arrange(layers, experts, columns, lines - 2)
    gap = 1 if across == 1 and down * (experts + 1) <= lines - 1 else 0
    each = (columns - (across - 1) * 2) // across
    chart = max(each - _HEAD - _TAIL, 1)
    found, ends = through_time(records, chart)
    place = _place(ends, chart, at)
    first = max(0, min(layer - across * down // 2, layers - across * down))
    blocks: list[list[Row]] = []
    for start in range(first, min(first + across * down, layers), down):
        block: list[Row] = []
        for number in range(start, min(start + down, first + across * down, layers)):
            block += [()] * gap if block else []
            now = found[number, :, -1 if place is None else place].tolist()
            block += _layer(
                found[number],
                number,
                each,
                now,
                chosen=number == layer,
            )
        blocks.append(
            [
                *block,
                _axis(
                    ends,
                    chart,
                    each,
                    place,
                ),
            ]
        )
    rows = [
        _heading(experts, columns),
        *beside(blocks, gap=2),
    ]
    return [fit(cells, columns) for cells in rows[:lines]]


def _layer(
    found: Floats, number: int, columns: int, now: Sequence[float], *, chosen: bool
) -> list[Row]:
    """The rows of one layer: found (E, columns of the chart), and the shares `now` (E,)."""
    experts = len(now)
    rows = []
    for expert in range(experts):
        name = f" L{number:<2}" if not expert else "    "
        cells = [
            mark(
                float(share),
                experts,
            )
            for share in found[expert]
        ]
        text = f"{percent(now[expert]):>{_TAIL}}"
        rows.append(
            fit(
                row(
                    Span(name, "strong" if chosen else "muted"),
                    Span(f"{expert % 100:<{_HEAD - 4}}", expert_style(expert)),
                    *cells,
                    Span(text, share_style(now[expert] * experts)),
                ),
                columns,
            )
        )
    return rows


def _place(ends: tuple[int, int], chart: int, at: int | None) -> int | None:
    """The column of a step, if it lies between the ends."""
    first, last = ends
    if at is None or not first <= at <= last:
        return None
    return min(int((at - first) / max(last - first, 1) * chart), chart - 1)


def _axis(ends: tuple[int, int], chart: int, columns: int, place: int | None) -> Row:
    """The first and the last step, and where the checkpoint at hand is."""
    first, last = ends
    left, right = f"{first:,}", f"step {last:,}"
    if len(left) + len(right) + 2 > chart:
        left, right = "", f"{last:,}"
    parts: list[Span | str] = [" " * _HEAD]
    if place is None:
        parts += [Span(left + right.rjust(chart - len(left)), "faint")]
        return fit(row(*parts), columns)
    # A label that the mark would stand in moves to its other side.
    before = left if place > len(left) else ""
    if chart - place - 1 > len(right):
        line = (before.ljust(place), right.rjust(chart - place - 1))
    else:
        line = (before + right.rjust(max(place - len(before), 0)), "")
    mark_ = Span("▲", "cursor")
    return fit(row(*parts, Span(line[0], "faint"), mark_, Span(line[1], "faint")), columns)


def _heading(experts: int, columns: int) -> Row:
    """What the heights and the colours mean."""
    even = percent(1 / experts)
    parts: list[Span | str] = [Span(" load  ", "muted")]
    for ratio, name in ((0.25, "low"), (1.0, f"even {even}"), (2.0, "twice or more")):
        parts += [
            mark(ratio / experts, experts),
            Span(f" {name}  ", "muted"),
        ]
    parts += [
        mark(0.0, experts),
        Span(" dead", "muted"),
    ]
    return fit(row(*parts), columns)


@dataclass(frozen=True)
class Balance:
    """How a layer's tokens spread over E experts, and how settled that is."""

    entropy: float
    """nats"""
    worst: float
    """largest load over the mean load"""
    top1_probability: float
    """mean probability of the selected expert"""
    dead: int
    agreement: float = math.nan
    """share of tokens routed as the newest checkpoint does"""


def balance_of(record: RoutingRecord, census: RoutingSurvey | None = None) -> list[Balance]:
    """Layer by layer, of an evaluation; how settled it is, a survey of that checkpoint knows."""
    numbers = (record.entropy, record.worst_over_mean, record.mean_top1, record.dead)
    agreement = _agreement(census, len(record.entropy))
    return [Balance(*layer) for layer in zip(*numbers, agreement, strict=True)]


def _agreement(census: RoutingSurvey | None, layers: int) -> tuple[float, ...]:
    known = census.agreement if census is not None else ()
    return known if len(known) == layers else (math.nan,) * layers


def balance_in(census: RoutingSurvey) -> list[Balance]:
    """Layer by layer, of a survey."""
    counts = census.expert_counts
    agreement = _agreement(census, census.layers)
    return [
        Balance(*layer)
        for layer in zip(
            routing.load_entropy(counts).tolist(),
            routing.worst_over_mean(counts).tolist(),
            census.top1_probability,
            routing.dead(counts).tolist(),
            agreement,
            strict=True,
        )
    ]


_COLUMNS = (
    Column("layer", 10),
    Column("entropy", 10, "right", 1),
    Column("worst/mean", 10, "right"),
    Column("top-1", 6, "right", 2),
    Column("dead", 4, "right", 3),
    Column("settled", 7, "right", 4),
)


def balance_block(
    layers: Sequence[Balance], experts: int, where: str, columns: int, lines: int, *, layer: int = 0
) -> list[Row]:
    """A row a layer, coloured by health, and what healthy looks like under them."""
    rows = [
        _numbers(
            number,
            one,
            experts,
            chosen=number == layer,
        )
        for number, one in enumerate(layers)
    ]
    room = lines - 2  # the headings
    references = _references(experts)[: max(0, min(3, room - 1))]
    kept = max(room - len(references), 1)
    first = max(0, min(layer - kept // 2, len(rows) - kept))
    body = table(_COLUMNS, [*rows[first : first + kept], *references], columns - 1)
    title = row(Span(" balance ", "strong"), Span(where, "muted"))
    words = " settled: as the newest"
    if layers and not math.isnan(layers[0].agreement) and width(title) + len(words) <= columns:
        title = row(*fit(title, columns - len(words)), Span(words, "faint"))
    title = fit(title, columns)
    return [title, *(row(" ", *cells) for cells in body)][: max(lines, 0)]


def _numbers(number: int, one: Balance, experts: int, *, chosen: bool) -> list[Span | str]:
    even = one.entropy / math.log(experts) if experts > 1 else 1.0
    top = (one.top1_probability - 1 / experts) / (1 - 1 / experts) if experts > 1 else 1.0
    agree = one.agreement
    return [
        Span(f"L{number}", "strong" if chosen else "muted"),
        Span(
            f"{one.entropy:.2f} {percent(even):>5}",
            _health(good=even >= 0.9, bad=even < 0.7),
        ),
        Span(f"{one.worst:.2f}", _health(good=one.worst < 1.5, bad=one.worst >= 2.5)),
        Span(f"{one.top1_probability:.2f}", _health(good=top >= 1 / 3, bad=False)),
        Span(f"{one.dead}", _health(good=not one.dead, bad=bool(one.dead))),
        Span(
            percent(agree),
            "good" if agree >= 0.9 else "text",
        ),
    ]


def _health(*, good: bool, bad: bool) -> str:
    return "good" if good else "bad" if bad else "warn"


def _references(experts: int) -> list[list[Span | str]]:
    """What healthy is, then the two ends between which the numbers lie."""
    full = math.log(experts) if experts > 1 else 0.0
    top1_probability = 1 / experts + (1 - 1 / experts) / 3
    top = percent(1.0)
    rows = (
        ("healthy", "over 90%", "under 1.5", f"> {top1_probability:.2f}", "0", "rises"),
        ("even", f"{full:.2f} {top:>5}", "1.00", f"{1 / experts:.2f}", "0", ""),
        ("all to one", f"0.00 {'0%':>5}", f"{experts:.2f}", "1.00", f"{experts - 1}", ""),
    )
    styles = ("muted", "faint", "faint")
    return [[Span(cell, how) for cell in cells] for cells, how in zip(rows, styles, strict=True)]
