"""The panels beside a map: the weight under the cursor, the top keys, the text, the head."""

from __future__ import annotations

from tinygpt_tui.attention.layout import wrapped_text
from tinygpt_tui.attention.readout import (
    TOP_KEYS,
    statistics_rows,
    top_keys_rows,
    under_cursor,
)
from tinygpt_tui.attention.state import AttentionState
from tinygpt_tui.attention.text_view import text_by
from tinygpt_tui.attention.thumbnails import heads_of_layer
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.render.panel import Panel, stacked, titled

MORE_KEYS = 8
"""How many keys of a query are listed where there is room."""
TEXT_STEPS = 4
"""Colours of the text: all of it changes with the cursor, and equal neighbours cost least."""


def side_panel(state: AttentionState, shown: InspectedText, columns: int, lines: int) -> list[Row]:
    """Exactly `lines` rows: the weight under the cursor, the query's top keys, the text coloured by
    attention, the head's statistics and, where there is room, all heads of the layer."""
    choice, matrix = state.choice, state.matrix
    cursor = Panel(titled("under the cursor"), under_cursor(shown, choice, matrix))
    statistics = statistics_rows(state, columns) if choice.mode == "head" else []
    text = wrapped_text(shown.texts, columns)
    left = lines - len(cursor.body) - len(statistics) - 3 - bool(statistics)
    keys = min(TOP_KEYS, choice.query + 1)
    text_lines = max(min(text.height, left - keys), 1)
    keys = max(min(MORE_KEYS, choice.query + 1, left - text_lines), 1)
    left -= keys + text_lines
    heads = heads_of_layer(state, shown, columns, left)
    attended = "attended by" if choice.incoming else "attended keys"
    panels = [
        cursor,
        Panel(titled("top attended keys"), top_keys_rows(shown, choice, matrix, columns, keys)),
        Panel(titled("text", attended), text_by(matrix, text, choice, text_lines, TEXT_STEPS)[0]),
    ]
    if statistics:
        title = row(Span("this head", "strong"), Span("       uniform", "faint"))
        panels.append(Panel(title, statistics))
    rows = stacked(panels, columns, lines - len(heads))
    return [*rows, *heads]
