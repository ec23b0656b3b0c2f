"""Which runs the list shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.screens.runs_table import RunEntry

_STATES = list(LOOKS)
SORT_KEYS: Mapping[str, Callable[[RunEntry], Any]] = {
    "started": lambda entry: entry.run.created,
    "name": lambda entry: entry.run.name.casefold(),
    "state": lambda entry: _STATES.index(entry.run.state.state),
    "preset": lambda entry: entry.preset,
    "step": lambda entry: entry.step,
    "planned": lambda entry: entry.summary.steps,
    "dense": lambda entry: entry.summary.best.get("dense"),
    "moe": lambda entry: entry.summary.best.get("moe"),
    "time": lambda entry: entry.summary.wall_seconds,
    "corpus": lambda entry: entry.run.corpus,
    "device": lambda entry: entry.summary.device,
}
"""By column. None is unknown, and comes last either way."""
_DESCENDING = ("started", "step", "planned", "time")
"""Columns that begin with the largest: the newest or longest run."""


@dataclass(frozen=True, slots=True)
class RunsOrder:
    """How the list is sorted and filtered."""

    column: str = "started"
    is_reversed: bool = False
    words: str = ""
    """Each of them has to be in the name, preset, corpus, device or state of a run."""

    @property
    def arrow(self) -> str:
        """Whether values grow or shrink down the list."""
        return "▼" if self._descending else "▲"

    @property
    def _descending(self) -> bool:
        return (self.column in _DESCENDING) != self.is_reversed

    def by_next(self, columns: Sequence[str]) -> Self:
        """Sort by the next of the visible `columns`."""
        known = [name for name in columns if name in SORT_KEYS]
        following = known.index(self.column) + 1 if self.column in known else 0
        return replace(self, column=known[following % len(known)], is_reversed=False)

    def by(self, column: str) -> Self:
        """Sort by a column, the other way round if it is that already."""
        if column not in SORT_KEYS:
            return self
        return (
            self.reversed()
            if column == self.column
            else replace(self, column=column, is_reversed=False)
        )

    def reversed(self) -> Self:
        """Sort the other way round."""
        return replace(self, is_reversed=not self.is_reversed)

    def apply(self, entries: Sequence[RunEntry]) -> list[RunEntry]:
        """The runs that match, sorted; equal ones stay in order."""
        found = [entry for entry in entries if self._matches(entry)]
        key = SORT_KEYS[self.column]
        known = [entry for entry in found if key(entry) is not None]
        unknown = [entry for entry in found if key(entry) is None]
        return sorted(known, key=key, reverse=self._descending) + unknown

    def _matches(self, entry: RunEntry) -> bool:
        run, numbers = entry.run, entry.summary
        state = LOOKS[run.state.state].word
        texts = (run.name, entry.preset, run.corpus, numbers.device, state)
        text = "\n".join(filter(None, texts)).casefold()
        return all(word in text for word in self.words.casefold().split())
