"""What the Attention tab says in words about the cell under the cursor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tinygpt.formatting import percent
from tinygpt_tui.attention.layout import Plan
from tinygpt_tui.attention.scene import Scene, uniform_baselines
from tinygpt_tui.attention.state import UNITS, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.heatmap import Floats
from tinygpt_tui.render.text import mark, quoted

STRONGEST = 5
"""Keys of a query that are named."""


def named(scene: Scene, statistic: str) -> Row:
    """A statistic of the chosen head, with its name."""
    at = scene.choice.layer, scene.choice.head
    value = number(statistic, scene.statistics[statistic][at])
    return row(Span(f"{_SHORT.get(statistic, statistic)} ", "muted"), Span(value, "text"))


def number(name: str, value: float) -> str:
    """A statistic: nats and tokens as they are, shares in percent."""
    if math.isnan(value):
        return "-"
    if name == "distance":
        return f"{value:.1f}"
    return f"{value:.2f}" if name in UNITS else percent(float(value))


def panel(scene: Scene, shown: InspectedText, columns: int, lines: int) -> list[Row]:
    """Under the cursor: query, key, weight; the query's strongest keys; what the head does."""
    choice = scene.choice
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    rows = _under(shown, choice, matrix)
    strongest = _strongest(shown, choice, matrix, columns)
    if lines >= len(rows) + len(strongest) + 1:
        rows += [()]
    rows += strongest
    context = _context(shown, choice, columns)
    if lines >= len(rows) + 2:
        rows += [(), context]
    if choice.mode == "head" and lines >= len(rows) + 4:
        rows += [(), *_statistics(scene, shown, columns)]
    return [fit(cells, columns) for cells in rows[:lines]]


def _under(shown: InspectedText, choice: Choice, matrix: Floats) -> list[Row]:
    names = (("query", choice.query), ("key", choice.key))
    rows = [
        row(
            Span(f"{name:<6}", "muted"),
            Span(f"{quoted(shown.texts[at]):<4}", "cursor"),
            Span(f" at {shown.start + at + 1}", "muted"),
        )
        for name, at in names
    ]
    weight = float(matrix[choice.query, choice.key])
    rank = int((matrix[choice.query] > weight).sum()) + 1
    rows.append(
        row(
            Span("weight", "muted"),
            Span(f" {weight:.4f}", "strong"),
            Span(f" no. {rank} of {choice.query + 1}", "muted"),
        )
    )
    return rows


def strongest(matrix: Floats, query: int, count: int = STRONGEST) -> list[tuple[int, float]]:
    """The keys that a query looks at most, with their weights."""
    line = matrix[query, : query + 1]
    keys = np.argsort(-line, kind="stable")[:count]
    return [(int(key), float(line[key])) for key in keys]


def _strongest(shown: InspectedText, choice: Choice, matrix: Floats, columns: int) -> list[Row]:
    found = strongest(matrix, choice.query)
    most = max(found[0][1], 1e-9)
    bar = "▄"
    space = max(columns - 20, 0)
    rows = [row(Span("it looks most at", "muted"))]
    for key, weight in found:
        style = "cursor" if key == choice.key else "text"
        name = quoted(shown.texts[key])
        rows.append(
            row(
                Span(f"{shown.start + key + 1:>5} ", "muted"),
                Span(f"{name:<4}", style),
                Span(f" {weight:.4f} ", style),
                Span(bar * max(round(space * weight / most), 1 if space else 0), "bar"),
            )
        )
    return rows


def _context(shown: InspectedText, choice: Choice, columns: int) -> Row:
    """The text up to the query and a little further, with query and key marked."""
    end = min(choice.query + max(columns // 4, 2), shown.size)
    begin = max(0, end - columns)
    spans = []
    for place in range(begin, end):
        style = "muted"
        if place == choice.query:
            style = "cursor+reverse"
        elif place == choice.key:
            style = "cursor+underline"
        elif place > choice.query:
            style = "faint"
        spans.append(
            Span(
                mark(shown.texts[place]),
                style,
            )
        )
    return row(*spans)


def _statistics(scene: Scene, shown: InspectedText, columns: int) -> list[Row]:
    choice, by = scene.choice, uniform_baselines(scene, shown)
    rows = [row(Span("this head", "muted"), Span("      by chance", "faint"))]
    for name, values in scene.statistics.items():
        value = number(name, values[choice.layer, choice.head])
        chance_ = number(name, by[name]) if name in by else ""
        rows.append(
            row(
                Span(f"{name:<10}", "muted"),
                Span(f"{value:>6}", "text"),
                Span(f"{chance_:>8}", "faint"),
                Span(f" {UNITS.get(name, '')}" if columns >= 34 else "", "faint"),
            )
        )
    return rows


def _below(scene: Scene, shown: InspectedText, planned: Plan) -> list[Row]:
    """The readout in a line or two, where there is no room beside the map."""
    choice, columns = scene.choice, planned.columns
    if choice.level == "text":
        return [_text_readout(scene, shown, columns)]
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    parts: list[Span | str] = [" "]
    for name, at in (("query", choice.query), ("key", choice.key)):
        named = quoted(shown.texts[at])
        parts += [Span(f"{name} {shown.start + at + 1} ", "muted"), Span(f"{named}  ", "cursor")]
    weight = float(matrix[choice.query, choice.key])
    if scene.pin is not None:
        pin = scene.pin
        held = pin.shown.matrix(pin.layer, pin.head, pin.mode)
        inside = max(choice.query, choice.key) < pin.shown.size
        there = f"{float(held[choice.query, choice.key]):.4f}" if inside else "-"
        parts += [Span(f"= {there}  ", "strong"), Span("here ", "muted")]
    parts += [Span(f"{weight:.4f}", "strong")]
    rows = [
        row(*parts),
        row(
            " ",
            Span("strongest ", "muted"),
            *_most(shown, replace(choice, incoming=False), STRONGEST),
        ),
    ]
    return [*rows, row(" ", *_context(shown, choice, columns - 2))]


def _text_readout(scene: Scene, shown: InspectedText, columns: int) -> Row:
    choice = scene.choice
    name = quoted(shown.texts[choice.query])
    words = " is looked at most by " if choice.incoming else " looks most at "
    parts = [
        Span(f" {shown.start + choice.query + 1} ", "muted"),
        Span(name, "cursor"),
        Span(words, "muted"),
    ]
    return fit(row(*parts, *_most(shown, choice, STRONGEST)), columns)


def _most(shown: InspectedText, choice: Choice, count: int) -> list[Span]:
    """The strongest keys of the chosen character, or the queries that look at it most."""
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    found = strongest(matrix, choice.query, count)
    if choice.incoming:
        column = matrix[choice.query :, choice.query]
        queries = np.argsort(-column, kind="stable")[:count]
        found = [(int(q) + choice.query, float(column[q])) for q in queries]
    spans = []
    for place, weight in found:
        name = quoted(shown.texts[place])
        spans += [
            Span(f" {shown.start + place + 1} {name}", "text"),
            Span(f" {weight:.3f} ", "muted"),
        ]
    return spans


_SHORT = {"previous": "prev", "duplicate": "dup", "induction": "ind"}
