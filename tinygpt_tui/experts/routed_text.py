"""A text coloured by expert, and the path of one token through the experts of all layers."""

from __future__ import annotations

import numpy as np

from tinygpt.formatting import percent
from tinygpt_tui.engine.results import RoutedText
from tinygpt_tui.render.bars import expert_names, progress
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.panel import rule
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.text import named
from tinygpt_tui.render.wrap import Flow
from tinygpt_tui.theme import expert_style

_PERCENT = 5
"""Columns of a probability and the space after it."""


def lay_out(routed: RoutedText, columns: int) -> Flow:
    """The text as lines, with visible whitespace, since it is routed as well."""
    flow = Flow(columns - 2, marks=True)
    flow.extend(routed.texts)
    return flow


def text_block(
    routed: RoutedText, columns: int, lines: int, *, layer: int, cursor: int, digits: bool = False
) -> list[Row]:
    """Up to `lines` lines around the cursor; with `digits`, each character has its expert's number
    below it, read downwards if it has several digits."""
    flow = lay_out(routed, columns)
    choice = routed.choice[layer]
    each = lines_each(routed, digits=digits)
    rows: list[Row] = []
    for number in around(flow.place(cursor)[0], max(1, lines // each), flow.height):
        cells = flow.line(number)
        spans = [
            Span(cell.text, _style(int(choice[cell.token]), chosen=cell.token == cursor))
            for cell in cells
        ]
        rows.append(fit(row(" ", *spans), columns))
        for digit in range(each - 1):
            under = (
                f"{choice[c.token]:>{each - 1}}"[digit].ljust(c.width) for c in cells if c.width
            )
            rows.append(fit(row(" ", Span("".join(under), "muted")), columns))
    return rows[: max(lines, 0)]


def lines_each(routed: RoutedText, *, digits: bool) -> int:
    """Lines on the screen per line of the text: one, and one per digit of an expert's number."""
    return 1 + (len(str(routed.experts - 1)) if digits else 0)


def _style(expert: int, *, chosen: bool) -> str:
    return expert_style(expert) + ("+reverse bold" if chosen else "")


def legend(experts: int, layer: int, columns: int, *, chosen: int = 0) -> Row:
    """The colour of each expert; if not all fit, of those around the expert `chosen`."""
    head = Span(f"L{layer} experts ", "muted")
    return row(head, *expert_names(experts, columns - width((head,)), chosen))


def path_block(
    routed: RoutedText, columns: int, lines: int, *, layer: int, cursor: int
) -> list[Row]:
    """The token's expert in each layer, and the router's probabilities as bars."""
    path = [int(expert) for expert in routed.choice[:, cursor]]
    text = routed.texts[cursor]
    parts: list[Span | str] = [
        Span("expert path of ", "muted"),
        Span(f'"{text if text == " " else named(text)}"', "strong"),
        Span(": ", "muted"),
    ]
    for number, expert in enumerate(path):
        parts += [Span(" → ", "faint")] if number else []
        parts += [Span(str(expert), expert_style(expert) + "+bold")]
    rows = [rule(row(*parts), columns)]
    room = lines - 1
    first = max(0, min(layer - room // 2, routed.layers - room))
    rows += [
        _bars(routed, number, cursor, columns, chosen=number == layer)
        for number in range(first, min(first + room, routed.layers))
    ]
    return rows[: max(lines, 0)]


def _bars(routed: RoutedText, layer: int, cursor: int, columns: int, *, chosen: bool) -> Row:
    """One bar per expert of a layer, or for the selected and the most probable ones if not all
    fit."""
    probabilities = routed.router[layer, cursor]
    selected = int(routed.choice[layer, cursor])
    head = Span(f" L{layer:<3}", "strong" if chosen else "muted")
    label = len(str(routed.experts - 1)) + 2  # the mark, the number, a space
    fitting = max(1, (columns - 5) // (label + _PERCENT))
    shown = list(range(routed.experts))
    if fitting < len(shown):
        order: list[int] = np.argsort(-probabilities, kind="stable").tolist()
        shown = (
            order[:fitting] if selected in order[:fitting] else [selected, *order[: fitting - 1]]
        )
    each = (columns - 5) // len(shown)
    parts: list[Span | str] = [head]
    for expert in shown:
        probability, picked = float(probabilities[expert]), expert == selected
        style = expert_style(expert)
        mark = "●" if picked else " "
        name = Span(f"{mark}{expert:<{label - 1}}", style if picked else "muted")
        number = f" {percent(probability):>4} "
        bar = max(each - label - len(number), 0)
        drawn = progress(probability, bar, style) if bar > 1 else ()
        number = number if drawn else f"{number[1:]:<{each - label}}"
        parts += [name, *drawn, Span(number, "strong" if picked else "muted")]
    return fit(row(*parts), columns)
