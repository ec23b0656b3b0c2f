"""The lift of each expert for each character or class, and examples in context.

Lift is the share of a character among an expert's tokens divided by its share among all tokens:
above 1, the expert gets more of it than its load explains. Shapes: L layers, E experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len

from tinygpt.analysis import routing
from tinygpt.analysis.routing import Floats, Ints
from tinygpt.escape import printable
from tinygpt.formatting import count
from tinygpt_tui.engine.protocol import Example
from tinygpt_tui.engine.results import RoutingSurvey
from tinygpt_tui.experts.load_chart import share_style
from tinygpt_tui.experts.state import Sorting
from tinygpt_tui.render.cells import Row, Span, fit, padded, row
from tinygpt_tui.render.panel import GAP, rule, side_by_side
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.text import named_within
from tinygpt_tui.theme import expert_style

RARE = 20
"""Below this count a lift is mostly noise: such rows are faint, and last when sorted by lift."""
EXAMPLES_COLUMNS = 40
"""Least columns of examples if those of several experts are side by side."""
CONTEXT_COLUMNS = 12
"""Columns of text before an example."""
_NAME, _TOTAL, _LIFT, _COUNT = 12, 6, 6, 6
_EXAMPLE_NAME = 5
"""Least columns of the name of an example's token."""


def counted(survey: RoutingSurvey, sorting: Sorting) -> tuple[Sequence[str], Ints]:
    """The class or token of each row, and its counts in each expert: (L, E, rows)."""
    if sorting.classes:
        return survey.by_class
    return survey.vocabulary, survey.expert_counts


def ordered(counts: Ints, lift: Floats, sorting: Sorting) -> list[int]:
    """Row indices sorted by `counts` or `lift` (E, rows); rows with no count are left out."""
    total = counts.sum(0)
    present: list[int] = np.flatnonzero(total).tolist()
    if sorting.order == "name":
        return present
    expert = min(sorting.expert, len(counts) - 1)
    by = lift[expert] if sorting.order == "lift" else counts[expert]
    rare = (total < RARE) & (sorting.order == "lift")
    return sorted(present, key=lambda i: (bool(rare[i]), -np.nan_to_num(float(by[i])), i))


def rows_of(survey: RoutingSurvey, layer: int, sorting: Sorting) -> int:
    """Number of rows of the table."""
    return int(np.count_nonzero(counted(survey, sorting)[1][layer].sum(0)))


def table_block(
    survey: RoutingSurvey, columns: int, lines: int, *, layer: int, sorting: Sorting
) -> list[Row]:
    """A title, a heading, and one row per character or class: its count, each expert's lift and,
    if they fit, each expert's count."""
    names, all_counts = counted(survey, sorting)
    counts = all_counts[layer]
    lift = routing.lift(all_counts)[layer]
    order = ordered(counts, lift, sorting)
    room = max(lines - 3, 1)
    top = max(0, min(sorting.top, len(order) - room))
    shown = _columns(survey.experts, columns, sorting)
    rows = [_title(survey, columns, layer, sorting), _heading(shown, columns, sorting)]
    name = str if sorting.classes else _short
    rows += [
        _line(name(names[i]), counts[:, i], lift[:, i], columns, shown, bold=sorting.expert)
        for i in order[top : top + room]
    ]
    hidden = len(order) - top - room
    more = f" {hidden} more below" if hidden > 0 else f" {top} more above" if top else ""
    rows += [fit(row(Span(more, "faint")), columns)] if more else []
    return rows[: max(lines, 0)]


def full_columns(experts: int) -> int:
    """Columns of a table that shows everything."""
    return _NAME + _TOTAL + experts * (_LIFT + _COUNT)


class Columns(NamedTuple):
    """The columns that fit."""

    total: bool
    """The count over all experts."""
    counts: bool
    """The count of each expert."""
    experts: Sequence[int]
    """If not all fit, those around the one that sorts the rows."""


def _columns(experts: int, columns: int, sorting: Sorting) -> Columns:
    room = columns - _NAME
    if columns >= full_columns(experts):
        return Columns(total=True, counts=True, experts=range(experts))
    if room >= _TOTAL + experts * _LIFT:
        return Columns(total=True, counts=False, experts=range(experts))
    fitting = around(sorting.expert, max(room // _LIFT, 1), experts)
    return Columns(total=False, counts=False, experts=fitting)


def _title(survey: RoutingSurvey, columns: int, layer: int, sorting: Sorting) -> Row:
    tokens = "characters" if survey.characters else "tokens"
    kind = "classes" if sorting.classes else tokens
    words = f" in L{layer}: lift (1.0 = no preference), {count(survey.tokens)} tokens"
    return rule(row(Span(kind, "strong"), Span(words, "muted")), columns)


def _heading(shown: Columns, columns: int, sorting: Sorting) -> Row:
    each = _LIFT + (_COUNT if shown.counts else 0)
    word = sorting.order if sorting.order != "name" else ""
    kind = "class" if sorting.classes else "token"
    total = f"{'count':>{_TOTAL}}" if shown.total else ""
    parts: list[Span | str] = [Span(f" {kind:<{_NAME - 1}}{total}", "muted")]
    for expert in shown.experts:
        chosen = bool(word) and expert == sorting.expert
        name = f"{word} ▾{expert}" if shown.counts else f"▾{expert}"
        text = name if chosen else str(expert)
        parts.append(Span(f"{text:>{each}}", expert_style(expert) + ("+bold" if chosen else "")))
    return fit(row(*parts), columns)


def sorted_by_heading(experts: int, columns: int, sorting: Sorting, x: int) -> Sorting | None:
    """The sorting after a click on column `x` of the heading: by name, by count, or by an expert,
    whose lift and count take turns. None where there is no heading."""
    shown = _columns(experts, columns, sorting)
    if x < _NAME:
        return replace(sorting, order="name", top=0)
    x -= _NAME + (_TOTAL if shown.total else 0)
    if x < 0:
        return replace(sorting, order="count", top=0)
    place = x // (_LIFT + (_COUNT if shown.counts else 0))
    if place >= len(shown.experts):
        return None
    expert = shown.experts[place]
    again = expert == sorting.expert and sorting.order == "lift"
    return replace(sorting, order="count" if again else "lift", expert=expert, top=0)


def _line(name: str, counts: Ints, lift: Floats, columns: int, shown: Columns, *, bold: int) -> Row:
    """One row: counts and lifts are (E,); the lift of expert `bold` is emphasised."""
    total = int(counts.sum())
    rare = total < RARE
    parts: list[Span | str] = [" "]
    parts += fit(row(Span(name, "muted" if rare else "text")), _NAME - 1)
    parts += [Span(f"{count(total):>{_TOTAL}}", "muted")] if shown.total else []
    for expert in shown.experts:
        style = "faint" if rare else share_style(float(lift[expert]))
        style += "+bold" if expert == bold and not rare else ""
        parts += [Span(f"{_ratio(float(lift[expert])):>{_LIFT}}", style)]
        number = count(int(counts[expert]))
        parts += [Span(f"{number:>{_COUNT}}", "faint")] if shown.counts else []
    return fit(row(*parts), columns)


def _ratio(lift: float) -> str:
    return "-" if math.isnan(lift) else f"{lift:.2f}" if lift < 9.995 else f"{lift:.1f}"


def examples_across(columns: int) -> int:
    """For how many experts there is room to show examples side by side; at least one."""
    return max((columns + GAP) // (EXAMPLES_COLUMNS + GAP), 1)


def examples_block(
    survey: RoutingSurvey, columns: int, lines: int, *, layer: int, experts: Sequence[int]
) -> list[Row]:
    """The most over-represented characters of each of these experts, in context: below each other,
    or in a wide block several side by side."""
    across = max(1, min(len(experts), examples_across(columns)))
    down = max(-(-len(experts) // across), 1)
    high = max(lines // down, 2)
    each = (columns - GAP * (across - 1)) // across
    sizes = [each] * (across - 1)
    sizes.append(columns - sum(sizes) - GAP * len(sizes))
    rows: list[Row] = []
    for first in range(0, len(experts), across):
        here = experts[first : first + across]
        blocks = [
            _examples_of(survey, expert, size, high, layer=layer)
            for expert, size in zip(here, sizes, strict=False)
        ]
        blocks += [[fit((), size)] * high for size in sizes[len(here) :]]
        rows += side_by_side(blocks, sizes)
    return rows[: max(lines, 0)]


def _examples_of(
    survey: RoutingSurvey, expert: int, columns: int, lines: int, *, layer: int
) -> list[Row]:
    """Exactly `lines` rows: a title, and examples of the most over-represented characters."""
    lift = routing.lift(survey.expert_counts)[layer]
    strong = strongest(survey, layer, expert)
    rows = [_examples_heading(expert, columns, found=bool(strong))]
    shown = _spread(strong, lines - 1)
    widths = (cell_len(_short(survey.vocabulary[token])) for token, _ in shown)
    names = max((_EXAMPLE_NAME, *widths))
    for token, examples in shown:
        head = f" {padded(_short(survey.vocabulary[token]), names)}{lift[expert, token]:>5.1f}x "
        rows += _examples(head, examples, columns, expert)
    return [*rows, *[fit((), columns)] * (lines - len(rows))][:lines]


def strongest(
    survey: RoutingSurvey, layer: int, expert: int
) -> list[tuple[int, tuple[Example, ...]]]:
    """Tokens over-represented in an expert, with examples.

    They are sorted by the excess of their count over the one expected from the expert's load: by
    lift, the rarest would come first.
    """
    found = [
        (token, examples)
        for (at_layer, at_expert, token), examples in survey.examples.items()
        if (at_layer, at_expert) == (layer, expert) and examples
    ]
    counts = survey.expert_counts[layer]
    share = counts[expert].sum() / max(counts.sum(), 1)
    excess = counts[expert] - counts.sum(0) * share
    return sorted(found, key=lambda entry: -float(excess[entry[0]]))


def _spread(
    found: Sequence[tuple[int, tuple[Example, ...]]], lines: int
) -> list[tuple[int, tuple[Example, ...]]]:
    """One example per line: each token gets one before any token gets a second."""
    if not found:
        return []
    shown = found[: max(lines, 0)]
    each, more = divmod(max(lines, 0), max(len(shown), 1))
    return [(t, examples[: each + (i < more)]) for i, (t, examples) in enumerate(shown)]


def _examples_heading(expert: int, columns: int, *, found: bool) -> Row:
    words = "over-represented" if found else "nothing over-represented"
    mark = Span("■ ", expert_style(expert))
    return rule(row(mark, Span(f"{words} in expert {expert}", "muted")), columns)


def _short(token: str) -> str:
    return named_within(token, _NAME - 2)


def _examples(head: str, examples: Sequence[Example], columns: int, expert: int) -> list[Row]:
    """One line per example, with the token in the same column; the first one begins with `head`."""
    rows = []
    for number, example in enumerate(examples):
        start = head if not number else padded("", cell_len(head))
        room = min(max((columns - cell_len(head)) // 2 - 1, 0), CONTEXT_COLUMNS)
        before, token_text, after = map(printable, (example.before, example.token, example.after))
        while cell_len(before) > room:
            before = before[1:]
        parts = (
            Span(start, "text"),
            Span(padded(before, room, "right"), "muted"),
            Span(token_text, expert_style(expert) + "+reverse"),
            Span(after, "muted"),
        )
        rows.append(fit(row(*parts), columns))
    return rows
