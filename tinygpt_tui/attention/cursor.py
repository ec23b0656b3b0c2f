"""Cursor moves that depend on the size of the screen."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.attention import layout, state
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText


def moved(shown: AttentionState, room: tuple[int, int], across: int, down: int) -> Choice:
    """Move the cursor, or select another head; `room` is (columns, lines) of the tab."""
    choice, text = shown.choice, shown.shown
    if text is None or not text.size:
        return choice
    match choice.level:
        case "grid":
            body = layout.plan(shown, *room).body
            wide = layout.thumbnails(text.layers, text.heads, room[0], body).across
            return state.move_in_grid(choice, shown.head_order(), across + down * wide)
        case "text":
            return _move_character(choice, text, room[0], across, down)
    if choice.level == "head" and (framed := frame(shown, choice, room)).pooled:
        return state.move_pooled(choice, shown.matrix, framed.pixels, down=down, right=across)
    return state.move(choice, text, queries=down, keys=across)


def _move_character(
    choice: Choice, text: InspectedText, columns: int, across: int, down: int
) -> Choice:
    query = choice.query + across
    if down:
        flow = layout.wrapped_text(text.texts, columns)
        line, column = flow.place(query)
        token = flow.token_at(min(max(line + down, 0), flow.height - 1), column)
        query = query if token is None else token
    return state.to_top_key(state.move(replace(choice, query=query), text), text)


def frame(shown: AttentionState, choice: Choice, room: tuple[int, int]) -> layout.Frame:
    """The map of the selected head as it is drawn."""
    assert shown.shown is not None
    planned = layout.plan(replace(shown, choice=choice), *room)
    room = layout.map_size(planned, pinned=shown.pin is not None)
    return layout.frame_of(choice, shown.shown, shown.matrix, room)


def window_is_redundant(shown: AttentionState, room: tuple[int, int]) -> bool:
    """Whether the whole map already shows every weight as large as a window would."""
    if shown.shown is None or shown.choice.factor:
        return False
    framed = frame(shown, replace(shown.choice, level="head"), room)
    return not framed.pooled and framed.pixels.tall > shown.choice.paint.least
