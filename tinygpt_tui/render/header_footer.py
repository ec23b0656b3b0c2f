"""Header and footer of the app, as rows of cells."""

from __future__ import annotations

from collections.abc import Sequence

from tinygpt.escape import printable
from tinygpt.run import RunState
from tinygpt_tui.keymap import Key
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.run_state import badge

TITLES = {"train": "Train", "generate": "Generate", "attention": "Attention", "experts": "Experts"}


def header_row(tab: str, run: str | None, corpus: str, state: RunState | None, columns: int) -> Row:
    """The tabs on the left; corpus, run and state on the right, as many as fit."""
    parts: list[Span | str] = []
    for number, (name, title) in enumerate(TITLES.items(), start=1):
        full = columns >= 60 or name == tab
        text = f" {number} {title} " if full else f" {number} "
        parts.append(Span(text, "reverse bold" if name == tab else "muted"))
    left = row(*parts)
    state_row = badge(state)
    run_name = Span(f"{printable(run or '')}  ", "strong")
    candidates = [
        row(Span(f"{printable(corpus)}  ", "faint"), run_name, *state_row, " "),
        row(run_name, *state_row, " "),
        row(*state_row, " "),
    ]
    rest = columns - width(left)
    right = next((cells for cells in candidates if width(cells) <= rest - 1), ())
    return row(*fit(left, columns - width(right)), *right)


def footer_row(keys: Sequence[Key], columns: int) -> Row:
    """As many keys as fit, always including help and quit."""
    shown = [key for key in keys if key.footer]
    always = [key for key in shown if key.action in ("help", "leave")]
    others = [key for key in shown if key not in always]
    while others and sum(map(_size, [*others, *always])) > columns:
        others.pop()
    parts: list[Span | str] = []
    for key in [*others, *always]:
        parts += [Span(f" {key.text}", "key"), Span(f" {key.label} ", "muted")]
    return fit(row(*parts), columns)


def _size(key: Key) -> int:
    return len(key.text) + len(key.label) + 3
