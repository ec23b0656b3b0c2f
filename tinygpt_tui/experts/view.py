"""What the Experts tab shows, as rows of cells: a pure function of a `Scene`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from tinygpt.formatting import count, loss
from tinygpt.run import RoutingRecord
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey
from tinygpt_tui.experts import lift_table, load_chart, routed_text
from tinygpt_tui.experts.lift_table import Sorting
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.text import sentence
from tinygpt_tui.render.timeline import slider

View: TypeAlias = Literal["load", "text", "table"]
VIEWS: tuple[View, ...] = ("load", "text", "table")
WIDE, TALL = 100, 28
"""Columns and rows from which the load, the balance and the text fit together."""
_LEAST_TABLE = 7


@dataclass(frozen=True)
class Scene:
    """All that is shown."""

    view: View = "load"
    layer: int = 0
    cursor: int = 0
    digits: bool = False
    sorting: Sorting = field(default_factory=Sorting)
    routings: Sequence[RoutingRecord] = field(default=(), repr=False)
    steps: Sequence[int] = ()
    """Of the checkpoints of the MoE."""
    at: int | None = None
    """The checkpoint that is looked at."""
    following: bool = True
    """The newest one, whichever that is."""
    playing: bool = False
    reading: RoutedText | None = None
    census: RoutingSurvey | None = None
    source: str = ""
    """Where the text comes from."""
    looking: bool = False
    surveying: bool = False
    nothing: str = ""
    """Why there is nothing to show at all."""
    note: str = ""
    """A sentence about what the keys just asked for."""
    look_problem: str = ""
    survey_problem: str = ""


def together(columns: int, lines: int) -> bool:
    """Whether the load and the text stand beside each other."""
    return columns >= WIDE and lines >= TALL


def text_columns(columns: int, lines: int) -> int:
    """How wide the text is."""
    return columns - _left(columns) - 3 if together(columns, lines) else columns


def _left(columns: int) -> int:
    return min(columns // 2, 72)


def tab(scene: Scene, columns: int, lines: int) -> list[Row]:
    """The whole tab: exactly `lines` rows of `columns`."""
    if scene.nothing:
        rows = [fit((), columns), *sentence(scene.nothing, columns, "muted")]
    else:
        rows = [timeline_row(scene, columns)]
        rows += [head_row(scene, columns)] if lines >= 5 else []
        notes = sentence(scene.note, columns, "warn") if scene.note else []
        rows += _body(scene, columns, lines - len(rows) - len(notes))
        rows = [*rows[: lines - len(notes)], *notes]
    return [*(fit(cells, columns) for cells in rows), *[fit((), columns)] * lines][:lines]


def timeline_row(scene: Scene, columns: int) -> Row:
    """The checkpoints on a line, and which of them is looked at."""
    if not scene.steps or scene.at is None:
        words = " This run has no checkpoint yet: the first is written before its first step."
        return fit(row(Span(words, "muted")), columns)
    place = scene.steps.index(scene.at) if scene.at in scene.steps else len(scene.steps) - 1
    left = row(Span(f" MoE step {scene.at:,} ", "moe.bold"))
    if scene.reading and scene.reading.step == scene.at and scene.reading.val_loss is not None:
        val = loss(scene.reading.val_loss)
        left = row(*left, Span(f"val {val}  ", "muted"))
    newest = "newest" if scene.following else "playing" if scene.playing else ""
    right = row(Span(f" {place + 1}/{len(scene.steps)} {newest:<8}", "muted"))
    room = columns - width(left) - width(right)
    line = slider(
        len(scene.steps),
        place,
        room,
    )
    return fit(row(*left, *line, *right), columns)


def head_row(scene: Scene, columns: int) -> Row:
    """The views, the layer, and what is under way."""
    parts: list[Span | str] = [" "]
    for view in VIEWS:
        parts += [Span(f" {view} ", "reverse bold" if view == scene.view else "muted")]
    layers = _layers(scene)
    if layers:
        parts += [Span("   layer", "muted")]
        shown = range(layers)
        if layers > 12:
            shown = range(max(0, min(scene.layer - 6, layers - 12)), layers)[:12]
        for layer in shown:
            style = "reverse bold" if layer == scene.layer else "muted"
            parts += [" ", Span(f"{layer}", style)]
    doing = "looking..." if scene.looking else "surveying..." if scene.surveying else ""
    if scene.census is not None and scene.at not in (None, scene.census.step):
        doing = f"table still of step {scene.census.step:,}  {doing}"
    right = row(Span(f"{doing} ", "accent")) if doing else ()
    return row(*fit(row(*parts), columns - width(right)), *right)


def _layers(scene: Scene) -> int:
    if scene.reading:
        return scene.reading.layers
    if scene.census:
        return scene.census.layers
    return len(scene.routings[-1].load) if scene.routings else 0


def _body(scene: Scene, columns: int, lines: int) -> list[Row]:
    if scene.view == "table":
        return _table(scene, columns, lines)
    if together(columns, lines):
        left, right = _left(columns), text_columns(columns, lines)
        text = _text(scene, right, lines)
        text += _rest(scene, right, lines - len(text))
        blocks = [_load(scene, left, lines), text]
        return _beside(blocks, (left, right), 3)
    if scene.view == "text":
        rows = _text(scene, columns, lines)
        return rows + _rest(scene, columns, lines - len(rows))
    return _load(scene, columns, lines)


def _load(scene: Scene, columns: int, lines: int) -> list[Row]:
    """The load through training over the balance of the layers."""
    balance, experts, where = _balance(scene)
    below = min(len(balance) + 5, max(lines * 2 // 5, 4)) if balance else 0
    if lines < 12 and below:  # the balance of the chosen layer alone
        below = 3 if lines >= 8 else 0
    above = lines - below - (1 if below and lines >= 16 else 0)
    rows = load_chart.load_block(
        scene.routings,
        columns,
        above,
        layer=scene.layer,
        at=scene.at,
    )
    if not below:
        return rows
    rest = lines - len(rows)
    gap = 1 if lines >= 16 else 0
    rows += [fit((), columns)] * gap
    return rows + load_chart.balance_block(
        balance,
        experts,
        where,
        columns,
        rest - gap,
        layer=scene.layer,
    )


def _balance(scene: Scene) -> tuple[list[load_chart.Balance], int, str]:
    """Of the checkpoint that is looked at, else of the newest evaluation; E; and which it is."""
    census = scene.census
    if census is not None:
        exact = next((r for r in scene.routings if r.step == census.step), None)
        if exact is not None:
            words = f"at step {census.step:,}, validation"
            return load_chart.balance_of(exact, census), census.experts, words
        words = f"at step {census.step:,}, {count(census.tokens)} tokens"
        return load_chart.balance_in(census), census.experts, words
    if scene.routings:
        newest = scene.routings[-1]
        return (
            load_chart.balance_of(newest),
            len(newest.load[0]),
            f"at step {newest.step:,}, validation",
        )
    return [], 0, ""


def _text(scene: Scene, columns: int, lines: int) -> list[Row]:
    """The text, and the path of the token under the cursor."""
    problem = sentence(scene.look_problem, columns, "warn") if scene.look_problem else []
    reading = scene.reading
    if reading is None:
        words = "" if problem else _waiting(scene, "text")
        return [*problem, *(sentence(words, columns, "muted") if words else [])]
    cursor = min(scene.cursor, len(reading.texts) - 1)
    layer = min(scene.layer, reading.layers - 1)
    head = [
        _text_title(scene, reading, cursor, columns),
        routed_text.legend(
            reading.experts,
            layer,
            columns,
        ),
    ]
    below = min(reading.layers + 1, max((lines - 2) // 2, 1))
    gap = [fit((), columns)] * (lines >= 14)
    flow = routed_text.lay_out(reading, columns)
    room = max(lines - len(problem) - 2 - below - 2 * len(gap), 1)
    room = min(room, flow.height * (2 if scene.digits else 1))
    text = routed_text.text_block(
        reading,
        columns,
        room,
        layer=layer,
        cursor=cursor,
        digits=scene.digits,
    )
    path = routed_text.path_block(
        reading,
        columns,
        below,
        layer=layer,
        cursor=cursor,
    )
    return [*problem, *head, *gap, *text, *gap, *path]


def _rest(scene: Scene, columns: int, lines: int) -> list[Row]:
    """What the room beside the load leaves: the classes, and what the expert under the cursor
    reads."""
    census, reading = scene.census, scene.reading
    if census is None or lines < _LEAST_TABLE:
        return []
    layer = min(scene.layer, census.layers - 1)
    sorting = replace(scene.sorting, classes=True, top=0)
    blank = fit((), columns)
    rows = [
        blank,
        *lift_table.table_block(
            census,
            columns,
            lines - 1,
            layer=layer,
            sorting=sorting,
        ),
    ]
    left = lines - len(rows) - 1
    if reading is None or left < 3:
        return rows
    cursor = min(scene.cursor, len(reading.texts) - 1)
    reader = int(reading.choice[min(layer, reading.layers - 1), cursor])
    block = lift_table.examples_block(
        census,
        columns,
        left,
        layer=layer,
        experts=[min(reader, census.experts - 1)],
    )
    return [*rows, blank, *block]


def _text_title(scene: Scene, reading: RoutedText, cursor: int, columns: int) -> Row:
    place = f" {reading.start + cursor + 1}/{reading.total}"
    last = reading.start + len(reading.texts)
    part = f"  context {reading.start + 1}-{last}" if len(reading.texts) < reading.total else ""
    words = f"{part}  {scene.source}"
    old = scene.at is not None and reading.step != scene.at
    parts = [Span(" text", "strong"), Span(place, "text"), Span(words, "muted")]
    parts += [Span(f"  still of step {reading.step:,}", "accent")] if old else []
    return fit(row(*parts), columns)


def _waiting(scene: Scene, what: str) -> str:
    if not scene.steps:
        return "The first checkpoint is written before the first step: then there is more to see."
    if scene.looking or scene.surveying:
        return f"The {what} comes as soon as the checkpoint has read it."
    return "t types a text, g takes that of the Generate tab, c draws lines of the corpus."


def _table(scene: Scene, columns: int, lines: int) -> list[Row]:
    """The specialisation of a layer, and examples: beside it if there is room, else under it."""
    problem = sentence(scene.survey_problem, columns, "warn") if scene.survey_problem else []
    census = scene.census
    if census is None:
        words = "" if problem else _waiting(scene, "table")
        return [*problem, *(sentence(words, columns, "muted") if words else [])]
    lines -= len(problem)
    layer = min(scene.layer, census.layers - 1)
    sorting = scene.sorting
    if columns >= WIDE + 16:
        sizes = (columns * 3 // 5, columns - columns * 3 // 5 - 2)
        shown = range(min(census.experts, max(lines // 4, 1)))
        blocks = (
            _tables(scene, census, sizes[0], lines),
            lift_table.examples_block(
                census,
                sizes[1],
                lines,
                layer=layer,
                experts=shown,
            ),
        )
        return [*problem, *_beside(blocks, sizes, 2)]
    below = _examples_below(lines)
    shown = range(min(sorting.expert, census.experts - 1), census.experts)[:1]
    above = lines - below
    rows = lift_table.table_block(
        census,
        columns,
        above,
        layer=layer,
        sorting=sorting,
    )
    rows += [fit((), columns)] * (above - len(rows))
    if below:
        rows += lift_table.examples_block(
            census,
            columns,
            below,
            layer=layer,
            experts=shown,
        )
    return [*problem, *rows]


def _examples_below(lines: int) -> int:
    return min(6, lines // 3) if lines >= 9 else 0


def table_rows(scene: Scene, columns: int, lines: int) -> int:
    """How many characters or classes the table shows at once in a tab of this size."""
    room = lines - 2
    if columns < WIDE + 16:
        return max(room - _examples_below(room) - 3, 1)
    above = _classes_above(scene, room)
    return max(room - above - 3, 1)


def _classes_above(scene: Scene, lines: int) -> int:
    """Rows of the classes over the characters, and the empty one between."""
    if scene.census is None or scene.sorting.classes or lines < 2 * _LEAST_TABLE + 6:
        return 0
    return len(scene.census.by_class()[0]) + 3


def _tables(scene: Scene, census: RoutingSurvey, columns: int, lines: int) -> list[Row]:
    """Characters, and over them their classes where there is room."""
    sorting = scene.sorting
    layer = min(scene.layer, census.layers - 1)
    rows: list[Row] = []
    if above := _classes_above(scene, lines):
        classes = replace(sorting, classes=True, top=0)
        rows = lift_table.table_block(
            census,
            columns,
            above,
            layer=layer,
            sorting=classes,
        )
        rows.append(fit((), columns))
    rest = lines - len(rows)
    return rows + lift_table.table_block(
        census,
        columns,
        rest,
        layer=layer,
        sorting=sorting,
    )


def _beside(blocks: Sequence[Sequence[Row]], sizes: Sequence[int], gap: int) -> list[Row]:
    """Blocks of these widths next to each other."""
    fitted = [
        [fit(cells, size) for cells in block] or [fit((), size)]
        for block, size in zip(blocks, sizes, strict=True)
    ]
    return beside(fitted, gap)
