"""What the Attention tab looks at, and how its choices follow each other: no widget, no engine.

Letters: L layers, H heads, T tokens of the window, Q queries, K keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from tinygpt_tui.engine.results import InspectedText, Mode
from tinygpt_tui.render.heatmap import Floats, Paint, Pixels, Pooling, Scale, find

Level: TypeAlias = Literal["grid", "head", "window", "text"]
LADDER: tuple[Level, ...] = ("grid", "head", "window", "text")
SCALES: tuple[Scale, ...] = ("sqrt", "linear", "row")
POOLINGS: tuple[Pooling, ...] = ("max", "mean")
COLOURS = ("viridis", "magma", "cividis")
FACTORS = (1, 2, 4)
"""Pixels a side of a number in the window."""
STATISTICS = ("entropy", "distance", "previous", "self", "first")
UNITS = {"entropy": "nats", "distance": "tokens"}
"""Of a statistic; the others are shares of weight."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is looked at, and how."""

    level: Level = "grid"
    layer: int = 0
    head: int = 0
    mode: Mode = "head"
    query: int = 0
    """The cursor's token, counted in the window; of the text, the chosen character."""
    key: int = 0
    incoming: bool = False
    """The text is coloured by who looks at the character, not by where it looks."""
    statistic: str = "entropy"
    ordered: bool = False
    """The grid is sorted by the statistic."""
    factor: int = 0
    """Pixels a side of a number in the window; 0: chosen by the size of the map."""
    origin: tuple[int, int] = (0, 0)
    """The first query and key that the window shows."""
    top: int = 0
    """The first line of thumbnails that the grid shows."""
    paint: Paint = field(default_factory=Paint)


@dataclass(frozen=True)
class Pin:
    """What is held on the left, to be compared."""

    shown: InspectedText
    layer: int
    head: int
    mode: Mode


def fitted(choice: Choice, shown: InspectedText) -> Choice:
    """The same choice where it exists: another checkpoint or text may have less of everything."""
    query = min(max(choice.query, 0), max(shown.size - 1, 0))
    return replace(
        choice,
        layer=min(choice.layer, shown.layers - 1),
        head=min(choice.head, shown.heads - 1),
        query=query,
        key=min(max(choice.key, 0), query),
    )


def climb(choice: Choice, by: int) -> Choice:
    """Further in or out."""
    place = min(max(LADDER.index(choice.level) + by, 0), len(LADDER) - 1)
    return replace(choice, level=LADDER[place])


def order(
    choice: Choice, statistics: dict[str, Floats], shown: InspectedText
) -> list[tuple[int, int]]:
    """All heads as the grid shows them: by layer, or the highest of the statistic first."""
    every = [(layer, head) for layer in range(shown.layers) for head in range(shown.heads)]
    values = statistics.get(choice.statistic)
    if choice.ordered and values is not None:
        every.sort(key=lambda at: -float(np.nan_to_num(values[at], nan=-1.0)))
    return every


def walk(choice: Choice, every: list[tuple[int, int]], by: int) -> Choice:
    """Another head, `by` places on in the order of the grid."""
    place = every.index((choice.layer, choice.head)) + by
    if not 0 <= place < len(every):
        return choice
    layer, head = every[place]
    return replace(choice, layer=layer, head=head, mode="head")


def turn(choice: Choice, shown: InspectedText, *, layers: int = 0, heads: int = 0) -> Choice:
    """Another layer or head, round and round."""
    return replace(
        choice,
        layer=(choice.layer + layers) % shown.layers,
        head=(choice.head + heads) % shown.heads,
        mode="head" if heads else choice.mode,
    )


def move(choice: Choice, shown: InspectedText, *, queries: int = 0, keys: int = 0) -> Choice:
    """The cursor by tokens. It stays where there are numbers: no key lies after its query."""
    query = min(max(choice.query + queries, 0), shown.size - 1)
    return replace(choice, query=query, key=min(max(choice.key + keys, 0), query))


def move_buckets(
    choice: Choice, matrix: Floats, shown: Pixels, *, down: int = 0, right: int = 0
) -> Choice:
    """The cursor by buckets of a pooled map, to the largest weight of the bucket it comes to."""
    y, x = find(shown.rows, choice.query), find(shown.columns, choice.key)
    y = min(max((y or 0) + down, 0), len(shown.rows) - 2)
    x = min(max((x or 0) + right, 0), len(shown.columns) - 2)
    while shown.future[y, x]:
        x -= 1
    top, left = int(shown.rows[y]), int(shown.columns[x])
    cut = matrix[top : shown.rows[y + 1], left : shown.columns[x + 1]]
    dy, dx = divmod(int(cut.argmax()), cut.shape[1])
    query = top + dy
    return replace(choice, query=query, key=min(left + dx, query))


def scrolled(choice: Choice, shown: InspectedText, queries: int, keys: int) -> Choice:
    """The window moved by half of itself where the cursor has left it: each move costs bytes."""
    begin = (
        _scroll(choice.origin[0], choice.query, queries, shown.size),
        _scroll(choice.origin[1], choice.key, keys, shown.size),
    )
    return choice if begin == choice.origin else replace(choice, origin=begin)


def _scroll(begin: int, place: int, room: int, total: int) -> int:
    if not begin <= place < begin + room:
        begin = place - room // 2
    return max(0, min(begin, total - room))


def after(value: str, values: tuple[str, ...], by: int = 1) -> str:
    """The next of some names, round and round."""
    return values[(values.index(value) + by) % len(values)] if value in values else values[0]
