"""A download whose sha256 is checked, and which gives up when the network falls silent."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

from tinygpt.errors import CorpusError

MAX_TIMEOUTS = 24
"""Time-outs that a whole download may take: two minutes at five seconds."""


class Download:
    """A download that gives up after `timeout` seconds without a byte.

    A time-out of the HTTP client does not cover the look-up of the host's name, which can hang for
    a minute on a machine without network; so the transfer runs in a daemon thread that is left
    behind once it stays silent. pooch calls this object as its progress bar.
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
        self.heard = time.monotonic()
        self.left = False

    def fetch(self, target: Path) -> Path:
        """Download to `target`, which appears whole, with its sha256 checked, or not at all.

        Raises:
            CorpusError: one line that says why not.
        """
        import pooch  # type: ignore[import-untyped,unused-ignore]  # noqa: F401, PLC0415 - before the clock starts

        outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self.heard = time.monotonic()
        last = self.heard + MAX_TIMEOUTS * self.timeout
        threading.Thread(target=self._work, args=(target, outcome), daemon=True).start()
        while (wait := min(self.heard + self.timeout, last) - time.monotonic()) > 0:
            try:
                error = outcome.get(timeout=wait)
            except queue.Empty:
                continue
            if error is None:
                return target
            raise CorpusError(self._reason(error)) from error
        self.left = True
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
        """Why the download failed, in a few words instead of the client's nested report."""
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
        """Bytes to come, as announced; pooch sets it."""
        return int(getattr(self.bar, "total", 0))

    @total.setter
    def total(self, value: int) -> None:
        if self.bar is not None:
            self.bar.total = value  # type: ignore[attr-defined]

    def update(self, size: int) -> None:
        """Note that `size` more bytes are here; end the transfer if nobody waits for it."""
        self.heard = time.monotonic()
        if self.left:
            raise TimeoutError
        self._tell("update", size)

    def reset(self) -> None:
        """Pooch starts the bar again, to fill it exactly."""
        self._tell("reset")

    def close(self) -> None:
        """All bytes are here."""
        self._tell("close")

    def _tell(self, method: str, *args: int) -> None:
        if self.bar is not None:
            getattr(self.bar, method)(*args)
