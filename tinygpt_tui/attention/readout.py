"""The readout of the Attention tab: the weight under the cursor, the top keys, the head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.cells import cell_len

from tinygpt.formatting import percent
from tinygpt_tui.attention.layout import Plan
from tinygpt_tui.attention.state import UNITS, WITHOUT, AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.cells import Row, Span, fit, padded, row
from tinygpt_tui.render.heatmap import Floats
from tinygpt_tui.render.text import label, quoted, whole_mark

TOP_KEYS = 5
"""How many keys of a query are listed."""
_LEAST_BAR = 10
"""Columns that the bars of these keys keep beside long tokens."""


def named(state: AttentionState, statistic: str) -> Row:
    """The name and value of a statistic for the selected head."""
    at = state.choice.layer, state.choice.head
    value = number(statistic, state.statistics[statistic][at])
    return row(Span(f"{_SHORT.get(statistic, statistic)} ", "muted"), Span(value, "text"))


def number(name: str, value: float) -> str:
    """The value of a statistic: nats and tokens as numbers, shares in percent."""
    if math.isnan(value):
        return "-"
    if name == "distance":
        return f"{value:z.1f}"
    if name == WITHOUT:
        return f"{value:+z.3f}"
    return f"{value:z.2f}" if name in UNITS else percent(float(value))


def under_cursor(shown: InspectedText, choice: Choice, matrix: Floats) -> list[Row]:
    """Query, key and weight under the cursor."""
    names = (("query", choice.query), ("key", choice.key))
    rows = [
        row(
            Span(f" {name:<6}", "muted"),
            Span(padded(quoted(shown.texts[at]), 4), "cursor"),
            Span(f" at {shown.start + at + 1}", "muted"),
        )
        for name, at in names
    ]
    weight = float(matrix[choice.query, choice.key])
    rank = int((matrix[choice.query] > weight).sum()) + 1
    rows.append(
        row(
            Span(" weight", "muted"),
            Span(f" {weight:.4f}", "strong"),
            Span(f" rank {rank}/{choice.query + 1}", "muted"),
        )
    )
    return rows


def top_keys(matrix: Floats, query: int, count: int = TOP_KEYS) -> list[tuple[int, float]]:
    """The keys with the largest weights of a query, and the weights."""
    line = matrix[query, : query + 1]
    keys = np.argsort(-line, kind="stable")[:count]
    return [(int(key), float(line[key])) for key in keys]


def top_keys_rows(
    shown: InspectedText, choice: Choice, matrix: Floats, columns: int, count: int
) -> list[Row]:
    """The keys with the largest weights of the query, with bars."""
    top = top_keys(matrix, choice.query, count)
    most = max(top[0][1], 1e-9)
    widest = max(cell_len(quoted(shown.texts[key])) for key, _ in top)
    names = max(4, min(widest, columns - 17 - _LEAST_BAR))
    space = max(columns - 17 - names, 0)
    rows = []
    for key, weight in top:
        name = quoted(shown.texts[key])
        name = name if cell_len(name) <= names else label(shown.texts[key], names)
        style = "cursor" if key == choice.key else "text"
        rows.append(
            row(
                Span(f"{shown.start + key + 1:>6} ", "muted"),
                Span(padded(name, names), style),
                Span(f" {weight:.4f} ", style),
                Span("▄" * max(round(space * weight / most), 1 if space else 0), "bar"),
            )
        )
    return rows


def _context(shown: InspectedText, choice: Choice, columns: int) -> Row:
    """The text around the query, with query and key marked."""
    end = min(choice.query + max(columns // 4, 2), shown.size)
    marks = [whole_mark(text) for text in shown.texts[max(0, end - columns) : end]]
    while len(marks) > 1 and end > choice.query + 1 and _after(marks, end, choice) > columns // 4:
        del marks[-1]
        end -= 1
    while len(marks) > 1 and sum(map(cell_len, marks)) > columns:
        del marks[0]
    spans = []
    for place, character in enumerate(marks, end - len(marks)):
        style = "muted"
        if place == choice.query:
            style = "cursor+reverse"
        elif place == choice.key:
            style = "cursor+underline"
        elif place > choice.query:
            style = "faint"
        spans.append(Span(character, style))
    return row(*spans)


def _after(marks: Sequence[str], end: int, choice: Choice) -> int:
    """Cells of the marks after the query, where the last one is that of token `end` - 1."""
    return sum(map(cell_len, marks[len(marks) - (end - choice.query - 1) :]))


def statistics_rows(state: AttentionState, columns: int) -> list[Row]:
    """Each statistic of the selected head, beside its value for a head with uniform attention."""
    choice, baseline = state.choice, state.uniform_baseline
    rows = []
    for name, values in state.statistics.items():
        value = number(name, values[choice.layer, choice.head])
        uniform = number(name, baseline[name]) if name in baseline else ""
        rows.append(
            row(
                Span(f" {name:<10}", "muted"),
                Span(f"{value:>6}", "text"),
                Span(f"{uniform:>8}", "faint"),
                Span(f" {UNITS.get(name, '')}" if columns >= 34 else "", "faint"),
            )
        )
    return rows


def below(state: AttentionState, shown: InspectedText, planned: Plan) -> list[Row]:
    """The readout in up to three lines, for when there is no room beside the map."""
    choice, columns = state.choice, planned.columns
    if choice.level == "text":
        return [_text_readout(state, shown, columns)]
    parts: list[Span | str] = [" "]
    for name, at in (("query", choice.query), ("key", choice.key)):
        named = quoted(shown.texts[at])
        parts += [Span(f"{name} {shown.start + at + 1} ", "muted"), Span(f"{named}  ", "cursor")]
    weight = float(state.matrix[choice.query, choice.key])
    if state.pin is not None:
        inside = max(choice.query, choice.key) < state.pin.shown.size
        there = f"{float(state.pin.matrix[choice.query, choice.key]):.4f}" if inside else "-"
        parts += [Span(f"= {there}  ", "strong"), Span("here ", "muted")]
    parts += [Span(f"{weight:.4f}", "strong")]
    rows = [
        row(*parts),
        row(
            " ",
            Span("top keys ", "muted"),
            *top_tokens(shown, replace(choice, incoming=False), TOP_KEYS),
        ),
    ]
    return [*rows, row(" ", *_context(shown, choice, columns - 2))]


def _text_readout(state: AttentionState, shown: InspectedText, columns: int) -> Row:
    choice = state.choice
    name = quoted(shown.texts[choice.query])
    words = " is attended by " if choice.incoming else " attends to "
    parts = [
        Span(f" {shown.start + choice.query + 1} ", "muted"),
        Span(name, "cursor"),
        Span(words, "muted"),
    ]
    return fit(row(*parts, *top_tokens(shown, choice, TOP_KEYS)), columns)


def top_tokens(shown: InspectedText, choice: Choice, count: int) -> list[Span]:
    """The keys that the selected token attends to most, or the queries that attend to it most."""
    matrix = shown.matrix(choice.layer, choice.head, choice.mode)
    top = top_keys(matrix, choice.query, count)
    if choice.incoming:
        column = matrix[choice.query :, choice.query]
        queries = np.argsort(-column, kind="stable")[:count]
        top = [(int(q) + choice.query, float(column[q])) for q in queries]
    spans = []
    for place, weight in top:
        name = quoted(shown.texts[place])
        spans += [
            Span(f" {shown.start + place + 1} {name}", "text"),
            Span(f" {weight:.3f} ", "muted"),
        ]
    return spans


_SHORT = {"previous": "prev", "duplicate": "dup", "induction": "ind"}
