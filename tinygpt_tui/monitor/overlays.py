"""Runs drawn over the charts of the open one: read regularly in a worker, since they may grow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App

from tinygpt.errors import TinyGPTError
from tinygpt.run import Item, MetricsReader
from tinygpt_tui.monitor.history import History
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


class OverlaySet:
    """A set of overlaid runs, at most as many as there are styles.

    `overlays` belongs to the drawing thread. `read` runs in another thread; what it yields is
    passed to `add` in the drawing thread.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self.paths = tuple(paths[: len(OVERLAYS)])
        self.overlays = [
            Overlay(path.name, History(), number) for number, path in enumerate(self.paths, 1)
        ]
        self._readers = [MetricsReader(path) for path in self.paths]
        self._lock = threading.Lock()

    def read(self) -> Iterator[tuple[int, list[Item], bool]]:
        """New records since the last call: (index of the run, items, whether they start over).

        Files that cannot be read are skipped. Yields nothing while another call is in progress.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            for index, reader in enumerate(self._readers):
                with suppress(TinyGPTError):
                    while (items := reader.read_bulk()) or reader.restarted:
                        yield index, items, reader.restarted
        finally:
            self._lock.release()

    def add(self, index: int, items: Sequence[Item], *, restarted: bool) -> None:
        """Add what `read` yielded."""
        overlay = self.overlays[index]
        if restarted:
            self.overlays[index] = overlay = Overlay(overlay.name, History(), overlay.number)
        overlay.history.add(items)


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
