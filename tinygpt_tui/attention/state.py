"""What the Attention tab shows, and the pure functions that change it.

Letters: L layers, H heads, T tokens of the window.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from tinygpt.analysis.attention_maps import uniform_baseline
from tinygpt_tui.engine.results import InspectedText, Mode
from tinygpt_tui.engine.session import Timeline
from tinygpt_tui.render.heatmap import Floats, Paint, Pixels, Pooling, Scale, find

Name = TypeVar("Name", bound=str)
Level: TypeAlias = Literal["grid", "head", "window", "text"]
LEVELS: tuple[Level, ...] = ("grid", "head", "window", "text")
"""From all heads to a single token: Enter zooms in, Esc out."""
SCALES: tuple[Scale, ...] = ("sqrt", "linear", "row")
POOLINGS: tuple[Pooling, ...] = ("max", "mean")
COLOURS = ("viridis", "magma", "cividis")
PIXEL_SIZES = (1, 2, 4)
"""Sizes of a weight in the window: how many times the least height of a bucket."""
STATISTICS = ("entropy", "distance", "previous", "self", "first")
WITHOUT = "without"
"""The statistic that only ablations have: by how much the loss rises without the head."""
UNITS = {"entropy": "nats", "distance": "tokens", WITHOUT: "nats"}
"""Of statistics; those not listed are shares of attention."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is selected, and how it is drawn."""

    level: Level = "grid"
    layer: int = 0
    head: int = 0
    mode: Mode = "head"
    query: int = 0
    """The query under the cursor, as an index into the window; in the text, the selected token."""
    key: int = 0
    incoming: bool = False
    """Whether the text is coloured by the attention to the selected token instead of from it."""
    statistic: str = "entropy"
    ordered: bool = False
    """Whether the grid is sorted by the statistic."""
    factor: int = 0
    """Size of a weight in the window, one of `PIXEL_SIZES`; 0 to fit the map."""
    origin: tuple[int, int] = (0, 0)
    """The first query and the first key in the window."""
    top: int = 0
    """The first visible line of thumbnails in the grid."""
    paint: Paint = field(default_factory=Paint)


@dataclass(frozen=True)
class Pin:
    """A map that is pinned on the left for comparison."""

    shown: InspectedText
    layer: int
    head: int
    mode: Mode

    @property
    def matrix(self) -> Floats:
        """(T, T) weights."""
        return self.shown.matrix(self.layer, self.head, self.mode)


@dataclass(frozen=True, kw_only=True)
class AttentionState:
    """Everything that the Attention tab shows."""

    choice: Choice
    shown: InspectedText | None = None
    statistics: dict[str, Floats] = field(default_factory=dict)
    """(L, H) each, by name."""
    survey_baseline: dict[str, float] = field(default_factory=dict)
    """Values for uniform attention of the statistics that only a survey has."""
    pin: Pin | None = None
    timeline: Timeline = field(default_factory=Timeline)
    busy: bool = False
    source: str = ""
    """Where the text came from."""
    message: str = ""
    """Why the tab is empty, or what went wrong."""

    @property
    def matrix(self) -> Floats:
        """(T, T) weights of the selected head."""
        assert self.shown is not None
        return self.shown.matrix(self.choice.layer, self.choice.head, self.choice.mode)

    @property
    def statistic(self) -> str:
        """The selected statistic, or the first one if the selected one is not known."""
        if self.choice.statistic in self.statistics or not self.statistics:
            return self.choice.statistic
        return next(iter(self.statistics))

    @property
    def uniform_baseline(self) -> dict[str, float]:
        """The values of the statistics for uniform attention."""
        assert self.shown is not None
        return self.survey_baseline | uniform_baseline(self.shown.size)

    def head_order(self) -> list[tuple[int, int]]:
        """All (layer, head) in the order of the grid: by layer, or by the statistic, descending."""
        assert self.shown is not None
        heads = [(layer, head) for layer, head in np.ndindex(self.shown.layers, self.shown.heads)]
        values = self.statistics.get(self.statistic)
        if self.choice.ordered and values is not None:
            heads.sort(key=lambda at: -float(np.nan_to_num(values[at], nan=-1.0)))
        return heads


def fitted(choice: Choice, shown: InspectedText) -> Choice:
    """The choice limited to the layers, heads and tokens of `shown`."""
    query = min(max(choice.query, 0), max(shown.size - 1, 0))
    return replace(
        choice,
        layer=min(choice.layer, shown.layers - 1),
        head=min(choice.head, shown.heads - 1),
        query=query,
        key=min(max(choice.key, 0), query),
    )


def to_top_key(choice: Choice, shown: InspectedText) -> Choice:
    """Move the cursor to the key with the largest weight for its query."""
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    return replace(choice, key=int(matrix[choice.query, : choice.query + 1].argmax()))


def change_level(choice: Choice, by: int) -> Choice:
    """Zoom in by `by` levels, or out if negative."""
    place = min(max(LEVELS.index(choice.level) + by, 0), len(LEVELS) - 1)
    return replace(choice, level=LEVELS[place])


def move_in_grid(choice: Choice, order: list[tuple[int, int]], by: int) -> Choice:
    """Select the head `by` places later in the order of the grid, if there is one."""
    place = order.index((choice.layer, choice.head)) + by
    if not 0 <= place < len(order):
        return choice
    layer, head = order[place]
    return replace(choice, layer=layer, head=head, mode="head")


def cycle(choice: Choice, shown: InspectedText, *, layers: int = 0, heads: int = 0) -> Choice:
    """Select another layer or head, wrapping around."""
    return replace(
        choice,
        layer=(choice.layer + layers) % shown.layers,
        head=(choice.head + heads) % shown.heads,
        mode="head" if heads else choice.mode,
    )


def move(choice: Choice, shown: InspectedText, *, queries: int = 0, keys: int = 0) -> Choice:
    """Move the cursor by tokens, within the causal mask: no key lies after its query."""
    query = min(max(choice.query + queries, 0), shown.size - 1)
    return replace(choice, query=query, key=min(max(choice.key + keys, 0), query))


def move_pooled(
    choice: Choice, matrix: Floats, shown: Pixels, *, down: int = 0, right: int = 0
) -> Choice:
    """Move the cursor by pixels of a pooled map, to the largest weight within the pixel."""
    y, x = find(shown.rows, choice.query), find(shown.columns, choice.key)
    y = min(max((y or 0) + down, 0), len(shown.rows) - 2)
    x = min(max((x or 0) + right, 0), len(shown.columns) - 2)
    while shown.masked[y, x]:
        x -= 1
    top, left = int(shown.rows[y]), int(shown.columns[x])
    cut = matrix[top : shown.rows[y + 1], left : shown.columns[x + 1]]
    dy, dx = divmod(int(cut.argmax()), cut.shape[1])
    query = top + dy
    return replace(choice, query=query, key=min(left + dx, query))


def scrolled(choice: Choice, shown: InspectedText, queries: int, keys: int) -> Choice:
    """Move the window by half its size if the cursor has left it: each move redraws everything."""
    begin = (
        _scroll(choice.origin[0], choice.query, queries, shown.size),
        _scroll(choice.origin[1], choice.key, keys, shown.size),
    )
    return choice if begin == choice.origin else replace(choice, origin=begin)


def _scroll(begin: int, place: int, room: int, total: int) -> int:
    if not begin <= place < begin + room:
        begin = place - room // 2
    return max(0, min(begin, total - room))


def next_name(value: Name, values: tuple[Name, ...]) -> Name:
    """The name after `value`, wrapping around."""
    return values[(values.index(value) + 1) % len(values)] if value in values else values[0]
