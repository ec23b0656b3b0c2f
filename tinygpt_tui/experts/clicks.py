"""What a click in the Experts tab selects: a view, a layer, a character, a column to sort by."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.experts import lift_table, routed_text, view
from tinygpt_tui.experts.state import VIEWS, ExpertsState
from tinygpt_tui.render.panel import GAP
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.text import sentence


def clicked(state: ExpertsState, size: tuple[int, int], x: int, y: int) -> ExpertsState | None:
    """The state after a click on column `x` and line `y` of a tab of `size` (columns, lines); None
    if nothing can be selected there."""
    columns, lines = size
    if state.empty_reason:
        return None
    head = 2 if lines >= view.MIN_HEAD_LINES else 1
    if y == 1 and head == 2:
        return _in_head(state, x)
    notes = sentence(state.note, columns, "warn") if state.note else []
    body, y = lines - head - len(notes), y - head
    if not 0 <= y < body:
        return None
    if state.view == "table":
        return _in_table(state, columns, body, x, y)
    if view.together(columns, body):
        columns, x = view.text_columns(columns, body), x - view.load_columns(columns) - GAP
    elif state.view != "text":
        return None
    return _in_text(state, (columns, body), x, y) if x >= 0 else None


def _in_head(state: ExpertsState, x: int) -> ExpertsState | None:
    x -= 1
    for name in VIEWS:
        if 0 <= x < len(name) + 2:
            return replace(state, view=name)
        x -= len(name) + 2
    x -= len(view.LAYER_LABEL)
    for layer in view.named_layers(state):
        if 0 <= x < len(f" {layer}"):
            return replace(state, layer=layer)
        x -= len(f" {layer}")
    return None


def _in_text(state: ExpertsState, size: tuple[int, int], x: int, y: int) -> ExpertsState | None:
    columns, lines = size
    routed = state.routed_text
    if routed is None:
        return None
    cursor, layer = min(state.cursor, len(routed.texts) - 1), min(state.layer, routed.layers - 1)
    above = len(sentence(state.inspect_problem, columns, "warn")) if state.inspect_problem else 0
    above += len(view.text_title(state, routed, cursor, layer, columns))
    room = view.text_room(state, routed, columns, lines, above)
    if not 0 <= y - above < room:
        return None
    flow = routed_text.lay_out(routed, columns)
    each = routed_text.lines_each(routed, digits=state.digits)
    shown = around(flow.place(cursor)[0], max(1, room // each), flow.height)
    line = (y - above) // each
    token = flow.token_at(shown[line], x - 1) if line < len(shown) else None
    return None if token is None else replace(state, cursor=token)


def _in_table(state: ExpertsState, columns: int, lines: int, x: int, y: int) -> ExpertsState | None:
    survey = state.survey
    if survey is None:
        return None
    y -= len(sentence(state.survey_problem, columns, "warn")) if state.survey_problem else 0
    above = 0
    if columns >= view.TABLE_AND_EXAMPLES:
        columns, above = view.table_columns(survey, columns), view.classes_above(state, lines)
    if y not in (1, above + 1) or not 0 <= x < columns:
        return None
    sorting = lift_table.sorted_by_heading(survey.experts, columns, state.sorting, x)
    return None if sorting is None else replace(state, sorting=sorting)
