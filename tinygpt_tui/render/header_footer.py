"""Header and footer of the app, as rows of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tinygpt.escape import printable
from tinygpt.run import RunState
from tinygpt.run.control import Request
from tinygpt_tui.keymap import Key
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.run_state import badge

T = TypeVar("T")
TITLES = {"train": "Train", "generate": "Generate", "attention": "Attention", "experts": "Experts"}


def header_row(
    tab: str,
    run: str | None,
    corpus: str,
    state: RunState | None,
    columns: int,
    *,
    requested: Request | None = None,
) -> Row:
    """The tabs on the left; corpus, run and state on the right, as many as fit.

    `requested` is what was asked of the trainer and is not confirmed.
    """
    tabs = _tabs(tab, columns)
    parts = [Span(text, "reverse bold" if name == tab else "muted") for name, text in tabs]
    left = row(*parts)
    state_row = badge(state, requested)
    run_name = Span(f"{printable(run or '')}  ", "strong")
    candidates = [
        row(Span(f"{printable(corpus)}  ", "faint"), run_name, *state_row, " "),
        row(run_name, *state_row, " "),
        row(*state_row, " "),
    ]
    rest = columns - width(left)
    right = next((cells for cells in candidates if width(cells) <= rest - 1), ())
    return row(*fit(left, columns - width(right)), *right)


def tab_at(x: int, tab: str, columns: int) -> str | None:
    """The name of the tab at this column of the header; `tab` is the open one."""
    return _at(x, _tabs(tab, columns))


def _tabs(tab: str, columns: int) -> list[tuple[str, str]]:
    """Name and text of each tab; in a narrow header only the open one has its title."""
    full = columns >= 60
    return [
        (name, f" {number} {title} " if full or name == tab else f" {number} ")
        for number, (name, title) in enumerate(TITLES.items(), start=1)
    ]


def footer_row(keys: Sequence[Key], columns: int) -> Row:
    """As many keys as fit, always including help and quit."""
    parts: list[Span | str] = []
    for key in _fitting(keys, columns):
        parts += [Span(f" {key.text}", "key"), Span(f" {key.label} ", "muted")]
    return fit(row(*parts), columns)


def key_at(x: int, keys: Sequence[Key], columns: int) -> Key | None:
    """The key at this column of the footer."""
    return _at(x, [(key, f" {key.text} {key.label} ") for key in _fitting(keys, columns)])


def _fitting(keys: Sequence[Key], columns: int) -> list[Key]:
    """The keys of the footer that fit."""
    shown = [key for key in keys if key.footer]
    always = [key for key in shown if key.action in ("help", "leave")]
    others = [key for key in shown if key not in always]
    while others and sum(map(_size, [*others, *always])) > columns:
        others.pop()
    return [*others, *always]


def _size(key: Key) -> int:
    return len(key.text) + len(key.label) + 3


def _at(x: int, texts: Iterable[tuple[T, str]]) -> T | None:
    """Which of the things whose texts stand in a row is at this column."""
    for thing, text in texts:
        x -= len(text)
        if x < 0:
            return thing
    return None
