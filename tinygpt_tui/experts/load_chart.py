"""The load of each expert during training, and the balance of each layer, as rows of cells.

A load is the share of tokens routed to an expert. Half a cell is the uniform load 1/E, a full cell
twice that or more. The colours agree: blue below uniform, grey near it, orange above.
Shapes: R records, L layers, E experts.
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
from tinygpt_tui.engine.results import RoutingSurvey
from tinygpt_tui.render.bars import HEIGHTS
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.panel import rule
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.theme import expert_style

BOUNDS = (0.5, 0.8, 1.25, 2.0)
"""Ratios to the uniform load between the five styles."""
_LAYER, _TAIL, _RISE = 4, 5, 7
"""Columns of " L0 ", of "  25%" and of " +0.012" in each row."""
MIN_LAYER_COLUMNS = 22
"""Least columns of a layer if several are side by side."""
MAX_LINES = 3
"""Lines of an expert's load, at most."""


def share_style(ratio: float) -> str:
    """The style of a lift or of a ratio to the uniform load; 1 is neutral."""
    return "faint" if math.isnan(ratio) else f"share.{bisect_right(BOUNDS, ratio)}"


def load_cell(share: float, experts: int, high: int = 1, above: int = 0) -> Span:
    """A cell of a bar of `high` lines whose height is a load, in the line with `above` lines below
    it; a cross for a dead expert, blank for NaN."""
    if math.isnan(share) or (share <= 0 and above):
        return Span(" ")
    if share <= 0:
        return Span("×", "bad")  # noqa: RUF001 - the cross
    eighths = max(math.ceil(share * experts / 2 * high * 8), 1) - 8 * above
    filled = HEIGHTS[min(eighths, 8) - 1] if eighths > 0 else " "
    return Span(filled, share_style(share * experts))


def load_over_time(
    records: Sequence[RoutingRecord], columns: int
) -> tuple[Floats, tuple[int, int]]:
    """(L, E, columns) load from the first record to the last, and their steps.

    A column is the mean of the records in its range of steps, or the nearest record if it has none.
    """
    loads = np.array([record.load for record in records], np.float64)  # (R, L, E)
    steps = np.array([record.step for record in records], np.float64)
    first, last = float(steps[0]), float(steps[-1])
    edges = np.linspace(first, max(last, first + 1), columns + 1)
    chart = np.empty((*loads.shape[1:], columns))
    for column in range(columns):
        low, high = edges[column], edges[column + 1]
        inside = (steps >= low) & ((steps < high) | (column == columns - 1))
        if inside.any():
            chart[..., column] = loads[inside].mean(0)
        else:
            chart[..., column] = loads[np.abs(steps - (low + high) / 2).argmin()]
    return chart, (int(first), int(last))


def arrange(layers: int, experts: int, columns: int, lines: int) -> tuple[int, int]:
    """How many layers to show side by side (as few as possible), and how many below each other."""
    widest = max(1, columns // MIN_LAYER_COLUMNS)
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
    selected: int = 0,
    at: int | None = None,
    rises: Floats | None = None,
) -> list[Row]:
    """A heading, the rows of all layers (or those around `layer`), and an axis of steps with the
    step `at` marked. If not all experts of a layer fit, those around `selected` are shown. At the
    end of the rows stand the loads at that step, and if they are known the `rises` (L, E) of the
    loss without the expert."""
    if not records:
        words = " Expert load appears after the first evaluation."
        return [fit(row(Span(words, "muted")), columns)]
    layers, experts = np.shape(records[-1].load)
    visible = visible_experts(experts, lines, selected)
    across, down = arrange(layers, len(visible), columns, lines - 2)
    high = max(1, min((lines - 2) // (down * len(visible)), MAX_LINES))
    gap = 1 if across == 1 and down * (high * len(visible) + 1) <= lines - 1 else 0
    each = (columns - (across - 1) * 2) // across
    head = _LAYER + _label_columns(experts)
    tail = _TAIL if rises is None else _TAIL + _RISE
    chart = max(each - head - tail, 1)
    loads, ends = load_over_time(records, chart)
    place = _place(ends, chart, at)
    first = max(0, min(layer - across * down // 2, layers - across * down))
    blocks: list[list[Row]] = []
    for start in range(first, min(first + across * down, layers), down):
        block: list[Row] = []
        for number in range(start, min(start + down, first + across * down, layers)):
            block += [()] * gap if block else []
            now = loads[number, :, -1 if place is None else place].tolist()
            without = None if rises is None else rises[number].tolist()
            marked = selected if number == layer and len(visible) < experts else None
            style = "strong" if number == layer else "muted"
            name = Span(f" L{number:<{_LAYER - 2}}", style)
            tails = _tails(now, without)
            block += _layer(name, loads[number], tails, visible, marked, high=high)
        blocks.append([*block, _axis(ends, head, chart, each, place)])
    heading = _heading(experts, visible, columns, ablated=rises is not None)
    rows = [heading, *beside(blocks, gap=2)]
    return [fit(cells, columns) for cells in rows[:lines]]


def visible_experts(experts: int, lines: int, selected: int) -> range:
    """The experts of a layer that are shown in a block of `lines`: all, or those around one."""
    return around(selected, max(lines - 2, 1), experts)


def _label_columns(experts: int) -> int:
    """Columns of an expert's number and of the space after it."""
    return len(str(experts - 1)) + 1


def _tails(now: Sequence[float], rises: Sequence[float] | None) -> list[Row]:
    """Per expert its load `now`, and the rise of the loss without it."""
    tails: list[Row] = []
    for expert, share in enumerate(now):
        rise = "" if rises is None else f"{rises[expert]:>+z{_RISE}.3f}"
        load = Span(f"{percent(share):>{_TAIL}}", share_style(share * len(now)))
        tails.append(row(load, Span(rise, "text")))
    return tails


def _layer(
    name: Span,
    loads: Floats,
    tails: Sequence[Row],
    visible: range,
    marked: int | None,
    *,
    high: int,
) -> list[Row]:
    """`high` rows per visible expert: its load over time, from `loads` (E, chart columns), and its
    tail. The number of the expert `marked` is reversed."""
    experts = len(tails)
    label = _label_columns(experts)
    rows = []
    for expert in visible:
        head = name if expert == visible[0] else Span(" " * _LAYER, name.style)
        style = expert_style(expert) + ("+reverse" if expert == marked else "")
        for above in reversed(range(high)):
            cells = [load_cell(float(share), experts, high, above) for share in loads[expert]]
            if above:
                rows.append(row(" " * (_LAYER + label), *cells, " " * width(tails[expert])))
            else:
                number = Span(f"{expert:<{label}}", style)
                rows.append(row(head, number, *cells, *tails[expert]))
    return rows


def _place(ends: tuple[int, int], chart: int, at: int | None) -> int | None:
    """The column of step `at`; None if it lies outside the chart."""
    first, last = ends
    if at is None or not first <= at <= last:
        return None
    return min(int((at - first) / max(last - first, 1) * chart), chart - 1)


def _axis(ends: tuple[int, int], head: int, chart: int, columns: int, place: int | None) -> Row:
    """The first and the last step below the chart, with a mark in its column `place`."""
    first, last = ends
    left, right = f"{first:,}", f"step {last:,}"
    if len(left) + len(right) + 2 > chart:
        left, right = "", f"{last:,}"
    parts: list[Span | str] = [" " * head]
    if place is None:
        parts += [Span(left + right.rjust(chart - len(left)), "faint")]
        return fit(row(*parts), columns)
    # A label that the mark would cover moves to its other side.
    before = left if place > len(left) else ""
    if chart - place - 1 > len(right):
        line = (before.ljust(place), right.rjust(chart - place - 1))
    else:
        line = (before + right.rjust(max(place - len(before), 0)), "")
    mark = Span("▲", "cursor")
    return fit(row(*parts, Span(line[0], "faint"), mark, Span(line[1], "faint")), columns)


def _heading(experts: int, visible: range, columns: int, *, ablated: bool) -> Row:
    """What heights and colours mean, and which experts are visible if not all fit, as a rule; and
    what the numbers at the end of the rows are."""
    uniform = percent(1 / experts)
    some = f"experts {visible[0]}-{visible[-1]} of {experts}" if len(visible) < experts else ""
    if ablated:
        some = f"{some}  loss rise without it".strip()
    room = columns - (len(some) + 3 if some else 0) - 4
    parts = row(Span("load", "strong"))
    for ratio, name in ((0.0, "dead"), (0.25, "low"), (1.0, f"uniform {uniform}"), (2.0, "2x+")):
        more = row(*parts, "  ", load_cell(ratio / experts, experts), Span(f" {name}", "muted"))
        parts = more if width(more) <= room else parts
    return rule(parts, columns, right=row(Span(some, "text")))


@dataclass(frozen=True)
class Balance:
    """How evenly a layer's tokens are routed to its E experts."""

    entropy: float
    """Of the load, in nats; log(E) is uniform."""
    max_over_mean: float
    """Largest load over the mean load."""
    top1_probability: float
    """Mean router probability of the selected expert."""
    dead: int
    """Experts without any token."""
    agreement: float = math.nan
    """Share of tokens that the newest checkpoint routes to the same expert."""


def balance_from_record(
    record: RoutingRecord, survey: RoutingSurvey | None = None
) -> list[Balance]:
    """The balance of each layer in an evaluation; a survey of the same step adds the agreement."""
    numbers = (record.entropy, record.worst_over_mean, record.mean_top1, record.dead)
    agreement = _agreement(survey, len(record.entropy))
    return [Balance(*layer) for layer in zip(*numbers, agreement, strict=True)]


def _agreement(survey: RoutingSurvey | None, layers: int) -> tuple[float, ...]:
    agreement = survey.agreement if survey is not None else ()
    return agreement if len(agreement) == layers else (math.nan,) * layers


def balance_from_survey(survey: RoutingSurvey) -> list[Balance]:
    """The balance of each layer in a survey."""
    counts = survey.expert_counts
    agreement = _agreement(survey, survey.layers)
    return [
        Balance(*layer)
        for layer in zip(
            routing.load_entropy(counts).tolist(),
            routing.worst_over_mean(counts).tolist(),
            survey.top1_probability,
            routing.dead(counts).tolist(),
            agreement,
            strict=True,
        )
    ]


_COLUMNS = (
    Column("layer", 9),
    Column("entropy", 10, "right", 1),
    Column("max/mean", 9, "right"),
    Column("top-1", 6, "right", 2),
    Column("dead", 4, "right", 3),
    Column("agreement", 9, "right", 4),
)


def balance_block(
    layers: Sequence[Balance], experts: int, where: str, columns: int, lines: int, *, layer: int = 0
) -> list[Row]:
    """One row per layer, coloured from good to bad, and reference values below them. `where` says
    what was measured."""
    rows = [
        _numbers(number, one, experts, chosen=number == layer) for number, one in enumerate(layers)
    ]
    room = lines - 2  # the headings
    references = _references(experts)[: max(0, min(3, room - 1))]
    visible = max(room - len(references), 1)
    first = max(0, min(layer - visible // 2, len(rows) - visible))
    body = table(_COLUMNS, [*rows[first : first + visible], *references], columns - 1)
    title = row(Span("load balance ", "strong"), Span(where, "muted"))
    right: Row = ()
    if layers and not math.isnan(layers[0].agreement):
        right = _agreement_words(columns - width(title) - 7)  # the ends of a rule
    heading = rule(title, columns, right=right)
    return [heading, *(row(" ", *cells) for cells in body)][: max(lines, 0)]


def _agreement_words(columns: int) -> Row:
    """What the column "agreement" means; empty if there is no room."""
    for words in ("routing agreement with the newest", "agreement: with newest"):
        if len(words) <= columns:
            return row(Span(words, "faint"))
    return ()


def _numbers(number: int, one: Balance, experts: int, *, chosen: bool) -> list[Span | str]:
    uniform = one.entropy / math.log(experts) if experts > 1 else 1.0
    top = (one.top1_probability - 1 / experts) / (1 - 1 / experts) if experts > 1 else 1.0
    agree = one.agreement
    return [
        Span(f"L{number}", "strong" if chosen else "muted"),
        Span(
            f"{one.entropy:z.2f} {percent(uniform):>5}",
            _health(good=uniform >= 0.9, bad=uniform < 0.7),
        ),
        Span(
            f"{one.max_over_mean:.2f}",
            _health(good=one.max_over_mean < 1.5, bad=one.max_over_mean >= 2.5),
        ),
        Span(f"{one.top1_probability:.2f}", _health(good=top >= 1 / 3, bad=False)),
        Span(f"{one.dead}", _health(good=not one.dead, bad=bool(one.dead))),
        Span(percent(agree), "good" if agree >= 0.9 else "text"),
    ]


def _health(*, good: bool, bad: bool) -> str:
    return "good" if good else "bad" if bad else "warn"


def _references(experts: int) -> list[list[Span | str]]:
    """Target values, then the two extremes."""
    full = math.log(experts) if experts > 1 else 0.0
    top1_probability = 1 / experts + (1 - 1 / experts) / 3
    top = percent(1.0)
    rows = (
        ("target", "> 90%", "< 1.5", f"> {top1_probability:.2f}", "0", "rises"),
        ("uniform", f"{full:.2f} {top:>5}", "1.00", f"{1 / experts:.2f}", "0", ""),
        ("collapsed", f"0.00 {'0%':>5}", f"{experts:.2f}", "1.00", f"{experts - 1}", ""),
    )
    styles = ("muted", "faint", "faint")
    return [[Span(cell, how) for cell in cells] for cells, how in zip(rows, styles, strict=True)]
