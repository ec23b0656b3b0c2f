"""Runs drawn over the charts of the open one: read regularly in a worker, since they may grow.

Runs of a group that differ in their seed alone are one overlay, their mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App

from tinygpt.run import Item
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.run_groups import by_setting, read_places, without_alone
from tinygpt_tui.monitor.run_histories import RunHistories
from tinygpt_tui.theme import OVERLAYS

PERIOD = 5.0
"""Seconds between two reads: slower than the open run, as overlays are for comparison only."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A run drawn over the charts of the open one, or the mean of several."""

    name: str
    history: History
    number: int
    """Its place among the overlays, from 1: the mark on its curves and in tables."""
    others: tuple[History, ...] = ()
    """Of a mean: the histories of the other runs."""

    @property
    def histories(self) -> tuple[History, ...]:
        """The history of each run."""
        return self.history, *self.others

    @property
    def legend(self) -> str:
        """Its name, and what is drawn of several runs."""
        count = len(self.histories)
        return f"{self.name} mean ± sd of {count}" if count > 1 else self.name

    @property
    def style(self) -> str:
        """Name of its style in `tinygpt_tui.theme`."""
        return OVERLAYS[self.number - 1]

    def is_comparable(self, history: History) -> bool:
        """Whether its losses can be compared with those of `history`: the same validation split of
        the same corpus. True while one of both is unknown."""
        starts = [history.start, *(one.start for one in self.histories)]
        return len({validation_text(start.corpus) for start in starts if start}) < 2


def validation_text(corpus: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells the validation text of a run from that of others, by the record of its corpus."""
    return tuple(str(corpus.get(name, "")) for name in ("sha256", "val_sha256", "split"))


def tokens_differ(history: History, overlays: Sequence[Overlay]) -> bool:
    """Whether runs with different tokens are shown."""
    return differ_in_tokens([history, *(run for each in overlays for run in each.histories)])


def differ_in_tokens(histories: Iterable[History]) -> bool:
    """Whether the runs have different tokens, as far as known: their losses per token do not
    compare then, but bits per byte do."""
    return len({_tokens(history) for history in histories if history.start}) > 1


def _tokens(history: History) -> tuple[str, str]:
    """What tells a vocabulary from others; that of characters follows from the corpus. Runs from
    before its hash was recorded are told apart by its size."""
    known = (history.start.tokenizer if history.start else None) or {}
    kind = str(known.get("kind", "char"))
    return kind, "" if kind == "char" else str(known.get("sha256", known.get("vocab_size")))


class OverlaySet(RunHistories):
    """A set of overlaid runs, with at most as many settings as there are styles."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._settings = by_setting(paths, read_places(paths))[: len(OVERLAYS)]
        super().__init__([path for runs in self._settings for path in runs.paths])

    @property
    def overlays(self) -> list[Overlay]:
        """The runs with their records so far."""
        histories = iter(self.histories)
        found = []
        for number, runs in enumerate(self._settings, 1):
            first, *others = itertools.islice(histories, len(runs.paths))
            found.append(Overlay(runs.name, first, number, tuple(others)))
        return found


class OverlayMonitor:
    """The overlays that the app shows, read regularly in a worker; `draw` is called on changes."""

    def __init__(self, app: App[Any], draw: Callable[[Sequence[Overlay]], None]) -> None:
        self._app, self._draw = app, draw
        self.current = OverlaySet()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The directories of the overlaid runs."""
        return self.current.paths

    def start(self) -> None:
        """Read every `PERIOD` seconds from now on."""
        self._app.set_interval(PERIOD, self.poll)

    def show(self, paths: Sequence[Path]) -> None:
        """Overlay exactly these runs."""
        self.current = OverlaySet(paths)
        self._draw(self.current.overlays)
        self.poll()

    def remove(self, path: Path) -> None:
        """No longer overlay this run by itself, as it is the open one; it stays part of a mean."""
        if path in self.paths:
            self.show(without_alone(self.paths, path, read_places(self.paths)))

    def rename(self, old: Path, new: Path) -> None:
        """Update the directory of a run that was renamed."""
        if old in self.paths:
            self.show([new if path == old else path for path in self.paths])

    def poll(self) -> None:
        """Read now, in a worker."""
        if self.paths:
            self._app.run_worker(self._read, thread=True, group="overlays", exit_on_error=False)

    def _read(self) -> None:
        overlays = self.current
        for index, items, restarted in overlays.read():
            self._app.call_from_thread(self._add, overlays, index, items, restarted=restarted)

    def _add(
        self, overlays: OverlaySet, index: int, items: Sequence[Item], *, restarted: bool
    ) -> None:
        overlays.add(index, items, restarted=restarted)
        if overlays is self.current:
            self._draw(overlays.overlays)
