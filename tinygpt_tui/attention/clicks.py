"""What a click in the Attention tab selects: a head, a weight of its map, a character."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.attention import cursor, layout, state
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.heatmap import LINE
from tinygpt_tui.render.panel import GAP
from tinygpt_tui.render.scroll import around


def clicked(shown: AttentionState, room: tuple[int, int], x: int, y: int) -> Choice | None:
    """The choice after a click on column `x` and line `y` of a tab of `room` (columns, lines).

    None if nothing can be selected there. A click on the selected head zooms in.
    """
    text, choice = shown.shown, shown.choice
    if text is None or not text.size:
        return None
    if choice.level not in ("head", "window"):
        shown = replace(shown, pin=None)
    planned = layout.plan(shown, *room)
    line = y - planned.head
    if not 0 <= line < planned.body:
        return None
    if choice.level == "grid":
        return _head(shown, text, planned, x, line)
    if choice.level == "text":
        return _character(choice, text, planned, x, line)
    return _weight(shown, planned, room, x, line)


def _head(
    shown: AttentionState, text: InspectedText, planned: layout.Plan, x: int, line: int
) -> Choice | None:
    choice, order = shown.choice, shown.head_order()
    cut = layout.thumbnails(text.layers, text.heads, planned.columns, planned.body)
    for row in range(choice.top, min(choice.top + cut.shown, cut.total)):
        line -= cut.lines + (row < cut.spare) + 1
        if line >= 0:
            continue
        place = row * cut.across + x // cut.columns
        if x // cut.columns >= cut.across or place >= len(order):
            return None
        layer, head = order[place]
        again = choice.mode == "head" and (layer, head) == (choice.layer, choice.head)
        there = replace(choice, layer=layer, head=head, mode="head")
        return state.change_level(there, 1) if again else there
    return None


def _character(
    choice: Choice, text: InspectedText, planned: layout.Plan, x: int, line: int
) -> Choice | None:
    flow = layout.wrapped_text(text.texts, planned.columns)
    layers = planned.body // (text.heads * (flow.height + 1))
    if choice.mode == "head" and layers:
        block, line = divmod(line, flow.height + 1)
        shown = around(choice.layer, layers, text.layers)
        if block >= len(shown) * text.heads:
            return None
        layer, head = divmod(block, text.heads)
        choice = replace(choice, layer=shown[layer], head=head)
        number = line - 1 if line else flow.place(choice.query)[0]
        x = x if line else flow.place(choice.query)[1] + 1
    else:
        lines = around(flow.place(choice.query)[0], planned.body, flow.height)
        if line >= len(lines):
            return None
        number = lines[line]
    token = flow.token_at(number, x - 1)
    if token is None:
        return None
    return state.to_top_key(state.move(replace(choice, query=token), text), text)


def _weight(
    shown: AttentionState, planned: layout.Plan, room: tuple[int, int], x: int, line: int
) -> Choice | None:
    """The weight in a cell of the map; of several, the largest."""
    choice = shown.choice
    framed = cursor.frame(shown, choice, room)
    small = framed.pixels
    wide, _ = layout.map_size(planned, pinned=shown.pin is not None)
    x -= framed.margin
    line -= 1
    if shown.pin is not None:  # the other map is on the left, and both have a title
        x -= wide + GAP
        line -= 1
    down, across = line * LINE // small.tall, x // small.wide
    rows, columns = small.masked.shape
    if x < 0 or line < 0 or down >= rows or across >= columns or small.masked[down, across]:
        return None
    there = replace(choice, query=int(small.rows[down]), key=int(small.columns[across]))
    return state.move_pooled(there, shown.matrix, small)
