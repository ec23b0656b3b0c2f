"""Runs drawn over the charts of the open one: read regularly in a worker, since they may grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App

from tinygpt.run import Item
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.run_histories import RunHistories
from tinygpt_tui.theme import OVERLAYS

PERIOD = 5.0
"""Seconds between two reads: slower than the open run, as overlays are for comparison only."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A run drawn over the charts of the open one."""

    name: str
    history: History
    number: int
    """Its place among the overlays, from 1: the mark on its curves and in tables."""

    @property
    def style(self) -> str:
        """Name of its style in `tinygpt_tui.theme`."""
        return OVERLAYS[self.number - 1]

    def is_comparable(self, history: History) -> bool:
        """Whether its losses can be compared with those of `history`: same corpus, so the same
        validation split. True while one of both is unknown."""
        starts = self.history.start, history.start
        hashes = {start.corpus.get("sha256") for start in starts if start}
        return len(hashes) < 2


class OverlaySet(RunHistories):
    """A set of overlaid runs, at most as many as there are styles."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        super().__init__(paths[: len(OVERLAYS)])

    @property
    def overlays(self) -> list[Overlay]:
        """The runs with their records so far."""
        runs = zip(self.paths, self.histories, strict=True)
        return [Overlay(path.name, history, n) for n, (path, history) in enumerate(runs, 1)]


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
        """No longer overlay this run, if it is overlaid."""
        if path in self.paths:
            self.show([other for other in self.paths if other != path])

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
