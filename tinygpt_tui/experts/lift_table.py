"""Who reads what: the lift of each expert for each character, and where the strongest stood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tinygpt.analysis import routing
from tinygpt.analysis.routing import Floats, Ints
from tinygpt.escape import printable
from tinygpt.formatting import count
from tinygpt_tui.engine.protocol import Example
from tinygpt_tui.engine.results import RoutingSurvey
from tinygpt_tui.experts.load_chart import expert_style, share_style
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.text import named

Order: TypeAlias = Literal["lift", "count", "name"]
ORDERS: tuple[Order, ...] = ("lift", "count", "name")
FEW = 20
"""Reads of a character below which its lift is mostly chance: faint, and last in the order."""
AROUND = 12
"""Columns of what stood before an example."""
_NAME, _TOTAL, _LIFT, _COUNT = 12, 6, 6, 6


@dataclass(frozen=True)
class Sorting:
    """How the table is read."""

    classes: bool = False
    """A row a class of characters, not a character."""
    order: Order = "lift"
    expert: int = 0
    """Whose lift or count orders the rows."""
    top: int = 0
    """The first row that is shown."""


def counted(census: RoutingSurvey, sorting: Sorting) -> tuple[list[str], Ints]:
    """The names of the rows, and (L, E, rows) how often each was read."""
    if sorting.classes:
        return census.by_class()
    return [named(token) for token in census.vocabulary], census.expert_counts


def ordered(counts: Ints, lift: Floats, sorting: Sorting) -> list[int]:
    """Rows in their order, of counts and lift (E, rows); what nobody read is left out."""
    total = counts.sum(0)
    there = np.flatnonzero(total)
    if sorting.order == "name":
        return [int(place) for place in there]
    expert = min(sorting.expert, len(counts) - 1)
    by = lift[expert] if sorting.order == "lift" else counts[expert]
    rare = (total < FEW) & (sorting.order == "lift")
    order = sorted(there.tolist(), key=lambda i: (bool(rare[i]), -np.nan_to_num(float(by[i])), i))
    return [int(place) for place in order]


def rows_of(census: RoutingSurvey, layer: int, sorting: Sorting) -> int:
    """How many rows there are to scroll through."""
    return int(np.count_nonzero(counted(census, sorting)[1][layer].sum(0)))


def table_block(
    census: RoutingSurvey, columns: int, lines: int, *, layer: int, sorting: Sorting
) -> list[Row]:
    """A heading, then a row a character or class: lift of each expert, and how often it read it."""
    names, all_counts = counted(census, sorting)
    counts = all_counts[layer]
    lift = routing.lift(all_counts)[layer]
    order = ordered(counts, lift, sorting)
    room = max(lines - 3, 1)
    top = max(0, min(sorting.top, len(order) - room))
    shown = _columns(census.experts, columns, sorting)
    rows = [
        _title(
            census,
            columns,
            layer,
            sorting,
        )
    ]
    rows.append(
        _heading(
            shown,
            columns,
            sorting,
        )
    )
    rows += [
        _line(names[i], counts[:, i], lift[:, i], columns, shown, bold=sorting.expert)
        for i in order[top : top + room]
    ]
    hidden = len(order) - top - room
    more = f" {hidden} more below" if hidden > 0 else f" {top} more above" if top else ""
    rows += [fit(row(Span(more, "faint")), columns)] if more else []
    return rows[: max(lines, 0)]


class Shown(NamedTuple):
    """The columns of the table that fit."""

    total: bool
    """How often a character was read at all."""
    counts: bool
    """And by each expert."""
    experts: Sequence[int]
    """Around the one that orders the rows, where not all fit."""


def _columns(experts: int, columns: int, sorting: Sorting) -> Shown:
    room = columns - _NAME
    if room >= _TOTAL + experts * (_LIFT + _COUNT):
        return Shown(total=True, counts=True, experts=range(experts))
    if room >= _TOTAL + experts * _LIFT:
        return Shown(total=True, counts=False, experts=range(experts))
    fitting = min(max(room // _LIFT, 1), experts)
    first = max(0, min(sorting.expert - fitting // 2, experts - fitting))
    return Shown(total=False, counts=False, experts=range(first, first + fitting))


def _title(census: RoutingSurvey, columns: int, layer: int, sorting: Sorting) -> Row:
    kind = "classes" if sorting.classes else "characters"
    read = count(census.tokens)
    words = f" of L{layer}: lift, 1.0 no preference; {read} tokens"
    return fit(row(Span(f" {kind}", "strong"), Span(words, "muted")), columns)


def _heading(shown: Shown, columns: int, sorting: Sorting) -> Row:
    each = _LIFT + (_COUNT if shown.counts else 0)
    word = sorting.order if sorting.order != "name" else ""
    arrow = "▾"
    times = f"{'times':>{_TOTAL}}" if shown.total else ""
    parts: list[Span | str] = [Span(f" {'read':<{_NAME - 1}}{times}", "muted")]
    for expert in shown.experts:
        chosen = bool(word) and expert == sorting.expert
        name = f"{word} {arrow}{expert}" if shown.counts else f"{arrow}{expert}"
        text = name if chosen else str(expert)
        parts.append(Span(f"{text:>{each}}", expert_style(expert) + ("+bold" if chosen else "")))
    return fit(row(*parts), columns)


def _line(name: str, counts: Ints, lift: Floats, columns: int, shown: Shown, *, bold: int) -> Row:
    """One character: its counts and lifts (E,)."""
    total = int(counts.sum())
    few = total < FEW
    parts: list[Span | str] = [" "]
    parts += fit(row(Span(name, "muted" if few else "text")), _NAME - 1)
    parts += [Span(f"{count(total):>{_TOTAL}}", "muted")] if shown.total else []
    for expert in shown.experts:
        style = "faint" if few else share_style(float(lift[expert]))
        style += "+bold" if expert == bold and not few else ""
        parts += [Span(f"{_ratio(float(lift[expert])):>{_LIFT}}", style)]
        read = int(counts[expert])
        parts += [Span(f"{count(read):>{_COUNT}}", "faint")] if shown.counts else []
    return fit(row(*parts), columns)


def _ratio(lift: float) -> str:
    return "-" if math.isnan(lift) else f"{lift:.2f}" if lift < 9.995 else f"{lift:.1f}"


def examples_block(
    census: RoutingSurvey, columns: int, lines: int, *, layer: int, experts: Sequence[int]
) -> list[Row]:
    """The strongest characters of each of these experts, with what stood around them."""
    lift = routing.lift(census.expert_counts)[layer]
    each = max(lines // max(len(experts), 1), 2)
    rows: list[Row] = []
    for expert in experts:
        found = strongest(census, layer, expert)
        block = [
            _reader(
                expert,
                columns,
                anything=bool(found),
            )
        ]
        for token, places in _broad(found, each - 1):
            ratio = float(lift[expert, token])
            block += _places(
                census,
                token,
                places,
                columns,
                lift=ratio,
                expert=expert,
            )
        rows += [*block, *[fit((), columns)] * (each - len(block))]
    return rows[: max(lines, 0)]


def strongest(
    census: RoutingSurvey, layer: int, expert: int
) -> list[tuple[int, tuple[Example, ...]]]:
    """Tokens with examples that an expert reads beyond its share.

    Ordered by how many more it read than its share: of lift alone, the rarest would stand first.
    """
    found = [
        (token, places)
        for (there, who, token), places in census.examples.items()
        if (there, who) == (layer, expert) and places
    ]
    counts = census.expert_counts[layer]
    share = counts[expert].sum() / max(counts.sum(), 1)
    beyond = counts[expert] - counts.sum(0) * share
    return sorted(found, key=lambda entry: -float(beyond[entry[0]]))


def _broad(
    found: Sequence[tuple[int, tuple[Example, ...]]], lines: int
) -> list[tuple[int, tuple[Example, ...]]]:
    """As many examples as there are lines: one of each token before a second one of any."""
    if not found:
        return []
    shown = found[: max(lines, 0)]
    each, more = divmod(max(lines, 0), max(len(shown), 1))
    return [(t, places[: each + (i < more)]) for i, (t, places) in enumerate(shown)]


def _reader(expert: int, columns: int, *, anything: bool) -> Row:
    """The heading of an expert's examples."""
    words = "reads beyond its share" if anything else "reads nothing beyond its share"
    mark = "■"
    return fit(row(Span(f" {mark}{expert} ", expert_style(expert)), Span(words, "muted")), columns)


def _places(
    census: RoutingSurvey,
    token: int,
    places: Sequence[Example],
    columns: int,
    *,
    lift: float,
    expert: int,
) -> list[Row]:
    """A line a place, the token under itself in all of them."""
    rows = []
    for number, place in enumerate(places):
        head = f" {named(census.vocabulary[token]):<5}{lift:>5.1f}x "
        head = head if not number else " " * len(head)
        room = min(max((columns - len(head)) // 2 - 1, 0), AROUND)
        before, inside, after = (
            printable(part).replace("⏎", "⏎") for part in (place.before, place.token, place.after)
        )
        parts = (
            Span(head, "text"),
            Span(f"{before[-room:] if room else '':>{room}}", "muted"),
            Span(inside, expert_style(expert) + "+reverse"),
            Span(after, "muted"),
        )
        rows.append(fit(row(*parts), columns))
    return rows
