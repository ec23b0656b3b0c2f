"""The form for a new run as rows of cells: the list of settings, help or problem, and the cost."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from tinygpt import formatting
from tinygpt.config import RunConfig
from tinygpt.escape import printable
from tinygpt_tui.launch import cost, measured, process_count
from tinygpt_tui.launch.surroundings import CorpusSource
from tinygpt_tui.render.cells import Row, Span, beside, fit, padded, row, width
from tinygpt_tui.render.scroll import around
from tinygpt_tui.screens.form import ADVANCED, FIELDS, GPUS, NAME, help_text
from tinygpt_tui.screens.form_state import SEARCH, FormRow, FormState
from tinygpt_tui.screens.line_edit import LineEdit
from tinygpt_tui.theme import NAMES

BELOW = 7
"""Rows below the list: one that separates, three of help, three of cost."""
_LABEL = 24
"""Columns of a label and the marks before it."""
_VALUE = 16
"""Columns of a typed value that is followed by a note."""
_HELP_LINES = 3
_CHOSEN, _OTHER, _GAP = "● ", "○ ", "  "


@dataclass(frozen=True)
class Measurements:
    """What is known of this machine: its runs, its memory in bytes, and its corpus."""

    runs: tuple[measured.MeasuredRun, ...] = ()
    memory: int | None = None
    corpus: CorpusSource | None = None


def visible(state: FormState, top: int, room: int) -> range:
    """The rows of the list that are shown: from `top`, unless the cursor is not among them."""
    rows = state.rows()
    at = next(index for index, entry in enumerate(rows) if entry.name == state.at)
    if not top <= at < top + room:
        return around(at, room, len(rows))
    first = max(0, min(top, len(rows) - room))
    return range(first, min(first + room, len(rows)))


def draw(
    state: FormState, known: Measurements, columns: int, lines: int, shown: range
) -> list[Row]:
    """`shown` rows of the list, and `BELOW` ones at the bottom of `lines`."""
    rows = state.rows()
    drawn = [_list_row(state, rows[index], columns) for index in shown]
    below = [
        _separator(len(rows), shown),
        *_message(state, known, columns),
        *_costs(state, known, columns),
    ]
    blank = [()] * (lines - len(drawn) - len(below))
    return [fit(cells, columns) for cells in (*drawn, *blank, *below)]


def choice_at(name: str, x: int) -> str | None:
    """The value that is drawn in column `x` of a field with a few values; None beside them."""
    left = _LABEL
    for value in FIELDS[name].choices if name in FIELDS else ():
        right = left + len(_CHOSEN) + len(value)
        if left <= x < right:
            return value
        left = right + len(_GAP)
    return None


def _list_row(state: FormState, entry: FormRow, columns: int) -> Row:
    if entry.heading:
        return row("  ", Span(entry.heading, "muted"))
    if entry.name == SEARCH:
        return _search_row(state)
    here, changed = entry.name == state.at, state.changed(entry.name)
    field = FIELDS[entry.name]
    bad = entry.name in state.problems
    label = row(
        Span("▸ " if here else "  ", "key"),
        Span("● " if changed else "  ", "accent"),
        Span(padded(field.label, _LABEL - 4), "bad" if bad else "key" if here else "text"),
    )
    note = _note(state, entry.name, changed=changed)
    if field.choices:
        value = _choices(field.choices, state.chosen(entry.name))
    else:
        room = _VALUE if note else columns - _LABEL - len(_GAP)
        room = min(columns - _LABEL, max(room, width((Span(state.text(entry.name)),)) + 2))
        value = _typed(state, entry.name, room, here=here, bad=bad)
    left = row(*label, *value, _GAP)
    return row(*left, Span(_clipped(note, columns - width(left)), "muted" if changed else "faint"))


def _note(state: FormState, name: str, *, changed: bool) -> str:
    """What stands after a value: the preset's default if it is changed, else in brief its help."""
    if name == GPUS:
        return ""
    if changed:
        return f"{state.preset}: {state.defaults[name]}"
    return FIELDS[name].help if FIELDS[name] in ADVANCED else ""


def _clipped(text: str, columns: int) -> str:
    """The text in as many columns, with an ellipsis if it is cut."""
    return text if len(text) <= columns else text[: max(0, columns - 1)].rstrip() + "…"


def _choices(values: Sequence[str], chosen: str) -> Row:
    spans: list[Span | str] = []
    for index, value in enumerate(values):
        mark, style = (_CHOSEN, "strong") if value == chosen else (_OTHER, "muted")
        spans += [*([_GAP] if index else []), Span(mark + value, style)]
    return row(*spans)


def _typed(state: FormState, name: str, room: int, *, here: bool, bad: bool) -> Row:
    """The value of a field, or in its place what a blank one stands for."""
    text = printable(state.text(name))
    blank = state.placeholder_name if name == NAME else state.defaults[name]
    if here:
        return editor(state.line, blank, room)
    style = "muted" if not text else "bad" if bad else "strong"
    return fit(row(Span(text or blank, style)), room)


def editor(line: LineEdit, blank: str, room: int) -> Row:
    """A line that is being edited, as wide as `room`, with its cursor; `blank` stands in an empty
    one."""
    if not line.text:
        return fit(row(Span(blank[:1] or " ", "reverse"), Span(blank[1:], "muted/bar")), room)
    first = max(0, line.cursor - room + 1)  # the part around the cursor
    before, under = line.text[first : line.cursor], line.text[line.cursor : line.cursor + 1] or " "
    after = line.text[line.cursor + 1 :]
    shown = row(Span(before, "strong/bar"), Span(under, "reverse"), Span(after, "strong/bar"))
    missing = room - width(shown)
    return fit(row(*shown, Span(" " * max(0, missing), "/bar")), room)


def _search_row(state: FormState) -> Row:
    here, words = state.at == SEARCH, state.search.text
    label = row(
        Span("▸ " if here else "  ", "key"),
        "  ",
        Span(padded("Search" if words else "Advanced", _LABEL - 4), "key" if here else "text"),
    )
    changed = f", {state.changed_advanced} changed" if state.changed_advanced else ""
    count = f"{len(ADVANCED)} more settings{changed}"
    if not here and not words:
        return row(*label, Span(count, "muted"))
    verb = "hides" if state.expanded else "shows"
    tip = f"{state.found} found" if words else f"{count}: Enter {verb} them"
    if not here:
        return row(*label, Span(f"/{words}  {tip}", "muted"))
    return row(*label, *editor(state.search, "type to search", _VALUE), _GAP, Span(tip, "muted"))


def _separator(total: int, shown: range) -> Row:
    above, below = shown.start, total - shown.stop
    parts = [f"↑ {above} more" if above else "", f"↓ {below} more" if below else ""]
    text = "   ".join(part for part in parts if part)
    return row("    ", Span(text, "muted")) if text else ()


def _message(state: FormState, known: Measurements, columns: int) -> list[Row]:
    """The problem with the field under the cursor, else with another one, else the field's help."""
    problem = state.problems.get(state.at) or next(iter(state.problems.values()), None)
    if problem:
        text, style = problem, "bad"
    elif state.at == SEARCH:
        words = "Words filter the settings by name and help; ctrl+f comes here from anywhere"
        text, style = words, "muted"
    else:
        text = help_text(state.at, state.defaults.get(state.at, ""), state.preset)
        style = "muted"
        if state.at == "data" and _is_auto(state) and known.corpus and known.corpus.warning:
            text, style = known.corpus.warning, "warn"
    lines = textwrap.wrap(printable(text), columns - 2) or [""]
    rows = [row("  ", Span(line, style)) for line in lines[:_HELP_LINES]]
    return [*rows, *[()] * (_HELP_LINES - len(rows))]


def _costs(state: FormState, known: Measurements, columns: int) -> list[Row]:
    """What the run takes: parameters on the left, memory and time on the right."""
    if state.config is None:
        return [(), (), ()]
    left = [row(Span(f"  {'':6}{'parameters':>11}{'active':>9}", "muted"))]
    for variant, (total, active) in cost.parameters(state.config).items():
        counts = f"{formatting.count(total):>11}{formatting.count(active):>9}"
        left.append(row(Span(f"  {NAMES[variant]:6}", f"{variant}.bold"), Span(counts, "text")))
    room = columns - width(left[0]) - 3
    right = [
        _memory(state.config, known),
        _corpus(state, known, room),
        _time(state.config, known, process_count.number(state.chosen(GPUS))),
    ]
    return [*beside([left, right], gap=3), *[()] * 3][:3]


def _memory(config: RunConfig, known: Measurements) -> Row:
    needed, total = cost.memory(config), known.memory
    about = row(Span("Memory  ", "muted"), Span(f"about {cost.short_bytes(needed)}", "text"))
    if total is None or cost.uses_gpu(config):
        return about
    if needed > total:
        return row(*about, Span(f", more than the {cost.short_bytes(total)} here", "bad"))
    return row(*about, Span(f" of {cost.short_bytes(total)}", "muted"))


def _corpus(state: FormState, known: Measurements, columns: int) -> Row:
    """The corpus, and from where; the latter alone if `columns` are few."""
    if not known.corpus or not _is_auto(state):
        return ()
    label, style = Span("Corpus  ", "muted"), "warn" if known.corpus.warning else "text"
    whole = row(label, Span(f"{known.corpus.name}: {known.corpus.place}", style))
    if width(whole) <= columns:
        return whole
    return row(label, Span(_clipped(known.corpus.place, columns - len(label.text)), style))


def _is_auto(state: FormState) -> bool:
    return state.chosen("data") == "auto"


def _time(config: RunConfig, known: Measurements, processes: int) -> Row:
    run = measured.find(config, known.runs, processes)
    seconds = run.seconds(config) if run else None
    if run is None or seconds is None:
        return ()
    return row(
        Span("Time    ", "muted"),
        Span(formatting.duration(seconds), "text"),
        Span(f", as in {printable(run.name)}", "muted"),
    )
