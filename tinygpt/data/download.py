"""A download with a checked sha256, which gives up when the network is silent."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

from tinygpt.errors import CorpusError

MAX_TIMEOUTS = 24
"""A whole download may take this many times the time-out: two minutes at five seconds."""


class Download:
    """A download that gives up after `timeout` seconds without a byte.

    The time-out of an HTTP client does not cover the DNS look-up, which can hang for a minute on a
    machine without network. So the transfer runs in a daemon thread, which is abandoned when no
    byte arrives for too long. To notice that, this object poses as the progress bar that pooch
    updates.
    """

    def __init__(
        self,
        url: str,
        sha256: str,
        progress: object | bool,  # noqa: FBT001
        timeout: float,
    ) -> None:
        self.url = url
        self.sha256 = sha256
        self.timeout = timeout
        self.bar = None if isinstance(progress, bool) else progress
        self.last_data = time.monotonic()
        self.abandoned = False

    def fetch(self, target: Path) -> Path:
        """Download to `target`, which appears complete and checked, or not at all.

        Raises:
            CorpusError: it failed; says why in one line.
        """
        import pooch  # type: ignore[import-untyped,unused-ignore]  # noqa: F401, PLC0415 - before the clock starts

        outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self.last_data = time.monotonic()
        last = self.last_data + MAX_TIMEOUTS * self.timeout
        threading.Thread(target=self._work, args=(target, outcome), daemon=True).start()
        while (wait := min(self.last_data + self.timeout, last) - time.monotonic()) > 0:
            try:
                error = outcome.get(timeout=wait)
            except queue.Empty:
                continue
            if error is None:
                return target
            raise CorpusError(self._reason(error)) from error
        self.abandoned = True
        raise CorpusError(self._reason(TimeoutError()))

    def _work(self, target: Path, outcome: queue.SimpleQueue[Exception | None]) -> None:
        import pooch  # noqa: PLC0415

        pooch.get_logger().setLevel("ERROR")
        downloader = pooch.HTTPDownloader(progressbar=self, timeout=self.timeout)
        try:
            pooch.retrieve(
                self.url,
                known_hash=f"sha256:{self.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=downloader,
            )
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            outcome.put(error)
        else:
            outcome.put(None)

    def _reason(self, error: Exception) -> str:
        """Why the download failed, in a few words instead of the client's nested message."""
        import requests  # noqa: PLC0415 - what pooch downloads with

        if isinstance(error, requests.HTTPError) and error.response is not None:
            return f"download: {self.url} answered {error.response.status_code}"
        if isinstance(error, TimeoutError | requests.Timeout):
            return f"no network (no answer within {self.timeout:g} s)"
        if isinstance(error, requests.ConnectionError):
            return f"no network ({self.url} cannot be reached)"
        if isinstance(error, ValueError) and "hash" in str(error):
            return f"download: {self.url} does not have the expected sha256"
        if isinstance(error, OSError) and error.strerror:
            return f"download: the cache cannot be written ({error.strerror}), set TINYGPT_CACHE"
        return f"download: {error}"

    @property
    def total(self) -> int:
        """Size in bytes as announced by the server; set by pooch."""
        return int(getattr(self.bar, "total", 0))

    @total.setter
    def total(self, value: int) -> None:
        if self.bar is not None:
            self.bar.total = value  # type: ignore[attr-defined]

    def update(self, size: int) -> None:
        """Called for every `size` bytes received; ends the transfer if it was abandoned."""
        self.last_data = time.monotonic()
        if self.abandoned:
            raise TimeoutError
        self._notify("update", size)

    def reset(self) -> None:
        """Called before the final update, which fills the bar exactly."""
        self._notify("reset")

    def close(self) -> None:
        """Called when all bytes are received."""
        self._notify("close")

    def _notify(self, method: str, *args: int) -> None:
        if self.bar is not None:
            getattr(self.bar, method)(*args)
