"""Runs laid over the charts of the open one: read in a thread, and read on while they grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinygpt.errors import TinyGPTError
from tinygpt.run import Item, MetricsReader
from tinygpt_tui.monitor.history import History
from tinygpt_tui.theme import OVERLAYS

PERIOD = 5.0
"""Seconds between two looks: these runs are there to be compared with, not to be watched."""


class OverlaySet:
    """The runs that were laid over the charts together, no more than there are styles for.

    `shown` belongs to the thread that draws; `news` is called in another, and what it yields goes
    to `take_in`, which is called where `shown` is read.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self.paths = tuple(paths[: len(OVERLAYS)])
        self.shown = [
            Overlay(path.name, History(), style)
            for path, style in zip(self.paths, OVERLAYS, strict=False)
        ]
        self._readers = [MetricsReader(path) for path in self.paths]
        self._lock = threading.Lock()

    def news(self) -> Iterator[tuple[int, list[Item], bool]]:
        """What came since the last call: which run, its items, whether they start over.

        What cannot be read is laid over as far as it goes. Nothing while another call is under way.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            for place, reader in enumerate(self._readers):
                with suppress(TinyGPTError):
                    while (items := reader.read_bulk()) or reader.restarted:
                        yield place, items, reader.restarted
        finally:
            self._lock.release()

    def take_in(self, place: int, items: Sequence[Item], *, restarted: bool) -> None:
        """Add what `news` yielded."""
        overlay = self.shown[place]
        if restarted:
            self.shown[place] = overlay = Overlay(overlay.name, History(), overlay.style)
        overlay.history.add(items)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Another run laid over the charts."""

    name: str
    history: History
    style: str
