"""The histories of several runs, read in a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tinygpt.errors import TinyGPTError
from tinygpt.run import Item, MetricsReader
from tinygpt_tui.monitor.history import History


class RunHistories:
    """The histories of the runs in `paths`, in this order.

    `histories` belongs to the drawing thread. `read` runs in another thread; what it yields is
    passed to `add` in the drawing thread.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.histories = [History() for _ in self.paths]
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
        if restarted:
            self.histories[index] = History()
        self.histories[index].add(items)
