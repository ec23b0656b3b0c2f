"""The Experts tab as rows of cells: a pure function of its state and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinygpt.formatting import count
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey
from tinygpt_tui.experts import lift_table, load_chart, routed_text
from tinygpt_tui.experts.state import VIEWS, ExpertsState
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.panel import GAP, rule, side_by_side
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.text import sentence
from tinygpt_tui.render.timeline import checkpoint_parts, position, slider

WIDE, TALL = 100, 28
"""Columns and lines from which load, balance and text are shown together."""
TABLE_AND_EXAMPLES = WIDE + 16
"""Columns from which examples are beside the table instead of below it."""
MAX_LOAD = 88
"""Columns of the load beside the text, at most."""
MIN_TABLE_LINES, MIN_EXAMPLE_LINES = 6, 9
MAX_LAYER_NAMES = 12
LAYER_LABEL = "   layer"
MIN_HEAD_LINES = 5
"""Lines from which the views and layers are named."""


def together(columns: int, lines: int) -> bool:
    """Whether there is room for the load and the text side by side."""
    return columns >= WIDE and lines >= TALL


def text_columns(columns: int, lines: int) -> int:
    """Width of the text in a tab of this size."""
    return columns - load_columns(columns) - GAP if together(columns, lines) else columns


def load_columns(columns: int) -> int:
    """Width of the load beside the text."""
    return min(columns // 2, MAX_LOAD)


def tab(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    """The whole tab: exactly `lines` rows of `columns`."""
    if state.empty_reason:
        rows = [fit((), columns), *sentence(state.empty_reason, columns, "muted")]
    else:
        rows = [timeline_row(state, columns)]
        rows += [head_row(state, columns)] if lines >= MIN_HEAD_LINES else []
        note = state.note or state.ablation_problem
        notes = sentence(note, columns, "warn") if note else []
        rows += _body(state, columns, lines - len(rows) - len(notes))
        rows = [*rows[: lines - len(notes)], *notes]
    return [*(fit(cells, columns) for cells in rows), *[fit((), columns)] * lines][:lines]


def timeline_row(state: ExpertsState, columns: int) -> Row:
    """The slider over the checkpoints, with the step and loss of the selected one."""
    if not state.steps or state.at is None:
        words = "No checkpoint yet: the first one is written before step 1."
        return rule(row(Span(words, "muted")), columns)
    timeline, steps, at = state.timeline, state.steps, state.at
    dot = Span(" · ", "faint")
    left = row(Span("MoE", "moe.bold"))
    for part in checkpoint_parts(timeline.name, at, timeline.checkpoints.val_losses.get(at)):
        left = row(*left, dot, part)
    best = timeline.best
    place, elsewhere = steps.index(at), best if best != at else None
    words = position(len(steps), place, playing=timeline.playing, best=elsewhere)
    last = len(steps) - 1  # the longest words, so that the slider keeps its length
    longest = max(len(position(len(steps), last, playing=p, best=best)) for p in (True, False))
    line = slider(
        len(steps),
        place,
        columns - width(left) - longest - 6,
        best=None if best is None else steps.index(best),
    )
    return rule(row(*left, " ", *line, Span(f" {words}", "muted")), columns)


def head_row(state: ExpertsState, columns: int) -> Row:
    """The views, the layers, and what the engine is doing."""
    parts: list[Span | str] = [" "]
    for view in VIEWS:
        parts += [Span(f" {view} ", "reverse bold" if view == state.view else "muted")]
    if state.layers:
        parts += [Span(LAYER_LABEL, "muted")]
        for layer in named_layers(state):
            style = "reverse bold" if layer == state.layer else "muted"
            parts += [" ", Span(f"{layer}", style)]
    words = "computing statistics..." if state.surveying else ""
    words = "measuring the loss without each expert..." if state.ablating else words
    words = "routing the text..." if state.inspecting else words
    if state.survey is not None and state.at not in (None, state.survey.step):
        words = f"table from step {state.survey.step:,}  {words}"
    right = row(Span(f"{words} ", "accent")) if words else ()
    return row(*fit(row(*parts), columns - width(right)), *right)


def named_layers(state: ExpertsState) -> range:
    """The layers that the head names, around the selected one."""
    return around(state.layer, MAX_LAYER_NAMES, state.layers)


def _body(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    if state.view == "table":
        return _table(state, columns, lines)
    if together(columns, lines):
        left, right = load_columns(columns), text_columns(columns, lines)
        blocks = [_load(state, left, lines), _text_and_classes(state, right, lines)]
        return _beside(blocks, (left, right), lines)
    if state.view == "text":
        return _text_and_classes(state, columns, lines)
    return _load(state, columns, lines)


# -- the load -------------------------------------------------------------------------------------


def _load(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    """The load during training, and below it the balance of the layers."""
    balance, experts, where = _balance(state)
    below = _balance_lines(len(balance), lines)
    rows = load_chart.load_block(
        state.routings,
        columns,
        lines - below,
        layer=state.layer,
        selected=state.sorting.expert,
        at=state.at,
        rises=state.ablations.experts if state.ablations else None,
    )
    if not below:
        return rows
    rest = lines - len(rows)  # more than was reserved, where the load needs less
    numbers = load_chart.balance_block(balance, experts, where, columns, rest, layer=state.layer)
    return [*rows, *[fit((), columns)] * (rest - len(numbers)), *numbers]


def _balance_lines(layers: int, lines: int) -> int:
    """Lines of the balance of so many layers."""
    below = min(layers + 5, max(lines * 2 // 5, 4)) if layers else 0
    if lines < 12 and below:  # the balance of the selected layer alone
        below = 3 if lines >= 8 else 0
    return below


def visible_experts(state: ExpertsState, lines: int) -> int:
    """How many experts of a layer the load shows in a tab of this height."""
    lines -= 2
    chart = lines - _balance_lines(len(_balance(state)[0]), lines)
    return len(load_chart.visible_experts(state.experts, chart, state.sorting.expert))


def _balance(state: ExpertsState) -> tuple[list[load_chart.Balance], int, str]:
    """The balance of each layer, the number of experts, and what was measured: the selected
    checkpoint, or the latest evaluation until there is a survey."""
    survey = state.survey
    if survey is not None:
        exact = next((r for r in state.routings if r.step == survey.step), None)
        if exact is not None:
            words = f"@ step {survey.step:,}, validation"
            return load_chart.balance_from_record(exact, survey), survey.experts, words
        words = f"@ step {survey.step:,}, {count(survey.tokens)} tokens"
        return load_chart.balance_from_survey(survey), survey.experts, words
    if state.routings:
        latest = state.routings[-1]
        words = f"@ step {latest.step:,}, validation"
        return load_chart.balance_from_record(latest), len(latest.load[0]), words
    return [], 0, ""


# -- the text -------------------------------------------------------------------------------------


def _text_and_classes(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    rows = _text(state, columns, lines)
    return rows + _classes(state, columns, lines - len(rows))


def _text(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    """The text, and the path of the token under the cursor."""
    problem = sentence(state.inspect_problem, columns, "warn") if state.inspect_problem else []
    routed = state.routed_text
    if routed is None:
        return problem or sentence(_waiting(state, "text"), columns, "muted")
    cursor = min(state.cursor, len(routed.texts) - 1)
    layer = min(state.layer, routed.layers - 1)
    head = text_title(state, routed, cursor, layer, columns)
    below = _path_lines(routed, lines)
    room = text_room(state, routed, columns, lines, len(problem) + len(head))
    text = routed_text.text_block(
        routed, columns, room, layer=layer, cursor=cursor, digits=state.digits
    )
    path = routed_text.path_block(routed, columns, below, layer=layer, cursor=cursor)
    return [*problem, *head, *text, *path]


def text_room(state: ExpertsState, routed: RoutedText, columns: int, lines: int, above: int) -> int:
    """Lines of the text itself, of so many, with `above` taken by what is said above it."""
    below = _path_lines(routed, lines)
    each = routed_text.lines_each(routed, digits=state.digits)
    return min(max(lines - above - below, 1), routed_text.lay_out(routed, columns).height * each)


def _path_lines(routed: RoutedText, lines: int) -> int:
    """Lines of the path of a token, of so many."""
    return min(routed.layers + 1, max((lines - 2) // 2, 1))


def _classes(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    """Lifts of the character classes, and examples of the expert under the cursor, if they fit."""
    survey, routed = state.survey, state.routed_text
    if survey is None or lines < MIN_TABLE_LINES:
        return []
    layer = min(state.layer, survey.layers - 1)
    sorting = replace(state.sorting, classes=True, top=0)
    rows = lift_table.table_block(survey, columns, lines, layer=layer, sorting=sorting)
    left = lines - len(rows)
    if routed is None or left < 3:
        return rows
    cursor = min(state.cursor, len(routed.texts) - 1)
    expert = min(int(routed.choice[min(layer, routed.layers - 1), cursor]), survey.experts - 1)
    count = lift_table.examples_across(columns) * max(left // MIN_EXAMPLE_LINES, 1)
    shown = around(expert, count, survey.experts) if count > 1 else [expert]
    return [
        *rows,
        *lift_table.examples_block(survey, columns, left, layer=layer, experts=shown),
    ]


def text_title(
    state: ExpertsState, routed: RoutedText, cursor: int, layer: int, columns: int
) -> list[Row]:
    """Which part of the text is shown, and the legend: beside it if there is room, else below."""
    place = f" {routed.start + cursor + 1}/{routed.total}"
    last = routed.start + len(routed.texts)
    part = f"  context {routed.start + 1}-{last}" if len(routed.texts) < routed.total else ""
    words = f"{part}  {state.source}"
    old = state.at is not None and routed.step != state.at
    parts = [Span("text", "strong"), Span(place, "text"), Span(words, "muted")]
    parts += [Span(f"  from step {routed.step:,}", "accent")] if old else []
    title = row(*parts)
    chosen = int(routed.choice[layer, cursor])
    legend = routed_text.legend(routed.experts, layer, columns - 2, chosen=chosen)
    if width(title) + width(legend) + 8 <= columns:
        return [rule(title, columns, right=legend)]
    return [rule(title, columns), fit(row(" ", *legend), columns)]


def _waiting(state: ExpertsState, what: str) -> str:
    if not state.steps:
        return "Waiting for the first checkpoint, which is written before step 1."
    if state.inspecting or state.surveying:
        return f"The {what} appears when the model has processed it."
    return "t: type a text · g: text of the Generate tab · c: random lines of the corpus"


# -- the table ------------------------------------------------------------------------------------


def _table(state: ExpertsState, columns: int, lines: int) -> list[Row]:
    """Lifts of a layer's experts, and examples beside or below them."""
    problem = sentence(state.survey_problem, columns, "warn") if state.survey_problem else []
    survey = state.survey
    if survey is None:
        return problem or sentence(_waiting(state, "table"), columns, "muted")
    lines -= len(problem)
    layer = min(state.layer, survey.layers - 1)
    if columns >= TABLE_AND_EXAMPLES:
        left = table_columns(survey, columns)
        right = columns - left - GAP
        count = lift_table.examples_across(right) * max(lines // 4, 1)
        experts = around(state.sorting.expert, count, survey.experts)
        blocks = (
            _tables(state, survey, left, lines),
            lift_table.examples_block(survey, right, lines, layer=layer, experts=experts),
        )
        return [*problem, *_beside(blocks, (left, right), lines)]
    below = _examples_below(lines)
    above = lines - below
    rows = lift_table.table_block(survey, columns, above, layer=layer, sorting=state.sorting)
    rows += [fit((), columns)] * (above - len(rows))
    if below:
        experts = range(min(state.sorting.expert, survey.experts - 1), survey.experts)[:1]
        rows += lift_table.examples_block(survey, columns, below, layer=layer, experts=experts)
    return [*problem, *rows]


def table_columns(survey: RoutingSurvey, columns: int) -> int:
    """Width of the table beside examples."""
    return min(columns * 3 // 5, lift_table.full_columns(survey.experts) + 2)


def _examples_below(lines: int) -> int:
    return min(6, lines // 3) if lines >= 9 else 0


def table_rows(state: ExpertsState, columns: int, lines: int) -> int:
    """How many rows of the table are visible in a tab of this size."""
    room = lines - 2
    if columns < TABLE_AND_EXAMPLES:
        return max(room - _examples_below(room) - 3, 1)
    return max(room - classes_above(state, room) - 3, 1)


def classes_above(state: ExpertsState, lines: int) -> int:
    """Lines of the table of classes above the table of characters."""
    if state.survey is None or state.sorting.classes or lines < 2 * MIN_TABLE_LINES + 6:
        return 0
    return len(state.survey.by_class[0]) + 2


def _tables(state: ExpertsState, survey: RoutingSurvey, columns: int, lines: int) -> list[Row]:
    """The table of characters and, if there is room, that of their classes above it."""
    sorting = state.sorting
    layer = min(state.layer, survey.layers - 1)
    rows: list[Row] = []
    if above := classes_above(state, lines):
        classes = replace(sorting, classes=True, top=0)
        rows = lift_table.table_block(survey, columns, above + 1, layer=layer, sorting=classes)
        rows = [*rows, *[fit((), columns)] * (above - len(rows))][:above]
    rest = lines - len(rows)
    return rows + lift_table.table_block(survey, columns, rest, layer=layer, sorting=sorting)


def _beside(blocks: Sequence[Sequence[Row]], sizes: Sequence[int], lines: int) -> list[Row]:
    """Blocks of these widths side by side, in exactly `lines` rows."""
    return side_by_side([[*block, *[()] * (lines - len(block))][:lines] for block in blocks], sizes)
