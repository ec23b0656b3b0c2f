"""A text coloured by the experts of one layer, and the path of one token through all of them."""

from __future__ import annotations

import numpy as np

from tinygpt.formatting import percent
from tinygpt_tui.engine.results import RoutedText
from tinygpt_tui.experts.load_chart import expert_style
from tinygpt_tui.render.bars import progress
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.text import named
from tinygpt_tui.render.wrap import Flow

_BAR = 8
"""Columns that an expert takes at least, where its probability is drawn."""


def lay_out(reading: RoutedText, columns: int) -> Flow:
    """The window as lines, white space visible: it is routed as well."""
    flow = Flow(
        columns - 2,
        marks=True,
    )
    flow.extend(reading.texts)
    return flow


def text_block(
    reading: RoutedText, columns: int, lines: int, *, layer: int, cursor: int, digits: bool = False
) -> list[Row]:
    """As many lines as there is room for, around the cursor; with `digits`, the expert's number
    under each character."""
    flow = lay_out(reading, columns)
    choice = reading.choice[layer]
    each = 2 if digits else 1
    room = max(1, lines // each)
    line = flow.place(cursor)[0]
    first = max(0, min(line - room // 2, flow.height - room))
    rows: list[Row] = []
    for number in range(first, min(first + room, flow.height)):
        cells = flow.line(number)
        spans = [
            Span(cell.text, _style(int(choice[cell.token]), chosen=cell.token == cursor))
            for cell in cells
        ]
        rows.append(fit(row(" ", *spans), columns))
        if digits:
            under = [
                Span(f"{int(choice[c.token]) % 10:<{c.width}}" if c.width else "", "muted")
                for c in cells
            ]
            rows.append(fit(row(" ", *under), columns))
    return rows[: max(lines, 0)]


def _style(expert: int, *, chosen: bool) -> str:
    return expert_style(expert) + ("+reverse bold" if chosen else "")


def legend(experts: int, layer: int, columns: int) -> Row:
    """Which colour is which expert."""
    block = "■"
    parts: list[Span | str] = [Span(f" L{layer} reads with ", "muted")]
    for expert in range(experts):
        parts += [Span(f"{block}{expert} ", expert_style(expert))]
    return fit(row(*parts), columns)


def path_block(
    reading: RoutedText, columns: int, lines: int, *, layer: int, cursor: int
) -> list[Row]:
    """Which expert reads the token in each layer, and the probabilities of all, as bars."""
    path = [int(expert) for expert in reading.choice[:, cursor]]
    arrow = Span(" → ", "faint")
    parts: list[Span | str] = [
        " ",
        Span(named(reading.texts[cursor]), "strong"),
        Span(" goes ", "muted"),
    ]
    for number, expert in enumerate(path):
        parts += [arrow] if number else []
        parts += [Span(str(expert), expert_style(expert) + "+bold")]
    rows = [fit(row(*parts), columns)]
    room = lines - 1
    first = max(0, min(layer - room // 2, reading.layers - room))
    rows += [
        _bars(
            reading,
            number,
            cursor,
            columns,
            chosen=number == layer,
        )
        for number in range(first, min(first + room, reading.layers))
    ]
    return rows[: max(lines, 0)]


def _bars(reading: RoutedText, layer: int, cursor: int, columns: int, *, chosen: bool) -> Row:
    """One layer: an expert a bar; where they do not all fit, the likeliest."""
    shares = reading.router[layer, cursor]
    selected = int(reading.choice[layer, cursor])
    head = Span(f" L{layer:<3}", "strong" if chosen else "muted")
    fitting = max(1, (columns - 5) // _BAR)
    shown = list(range(reading.experts))
    if fitting < len(shown):
        shown = [int(e) for e in np.argsort(-shares, kind="stable")[:fitting]]
    each = (columns - 5) // len(shown)
    parts: list[Span | str] = [head]
    for expert in shown:
        share, picked = float(shares[expert]), expert == selected
        style = expert_style(expert)
        mark = "●" if picked else " "
        name = Span(f"{mark}{expert:<2}", style if picked else "muted")
        number = f" {percent(share):>4} "
        bar = max(each - 3 - len(number), 0)
        drawn = (
            progress(
                share,
                bar,
                style,
            )
            if bar > 1
            else ()
        )
        number = number if drawn else f"{number[1:]:<{each - 3}}"
        parts += [name, *drawn, Span(number, "strong" if picked else "muted")]
    return fit(row(*parts), columns)
