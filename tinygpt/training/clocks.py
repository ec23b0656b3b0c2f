"""Clocks of a training: of its steps alone, and of the run without its pauses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tinygpt.device import device_type


class Stopwatch:
    """Adds up the seconds spent in its with-blocks; on CUDA by events, which do not wait."""

    def __init__(self, device: str) -> None:
        self._cuda = device_type(device) == "cuda"
        self._seconds = 0.0
        self._aside = 0.0
        self._started = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> None:
        self._aside = 0.0
        if self._cuda:
            pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            self._events.append(pair)
            pair[0].record()
        self._started = time.perf_counter()

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """A block that raises is not counted."""
        if failed:
            del self._events[-1:]
            return
        if self._cuda:
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._started
        self._seconds -= self._aside

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out the seconds of this with-block, inside one that is counted."""
        began = time.perf_counter()
        yield
        self._aside += time.perf_counter() - began

    def read(self) -> float:
        """Seconds since the last reading; on CUDA this waits for the device."""
        seconds, self._seconds = self._seconds, 0.0
        for begin, end in self._events:
            end.synchronize()
            seconds += begin.elapsed_time(end) / 1000
        self._events.clear()
        return max(0.0, seconds)


class RunClock:
    """Wall-clock seconds of a run over all its sessions, without pauses.

    Args:
        seconds: what the earlier sessions took.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._zero = time.monotonic() - seconds
        self._stopped: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds until now, or until the clock was stopped."""
        return (time.monotonic() if self._stopped is None else self._stopped) - self._zero

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The clock stands still in the with-block; blocks may be nested."""
        if self._stopped is not None:
            yield
            return
        self._stopped = time.monotonic()
        try:
            yield
        finally:
            self._zero += time.monotonic() - self._stopped
            self._stopped = None
