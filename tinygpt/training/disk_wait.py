"""Writes to a disk that may be full: the run pauses until there is space again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tinygpt.errors import TinyGPTError
from tinygpt.run import RunWriter, StatusState
from tinygpt.training.clocks import RunClock

T = TypeVar("T")

DISK_FULL_POLL = 2.0
"""Seconds between two attempts to write to a full disk."""


class DiskWait:
    """Retries writes that a full disk refused; the clock of the run stands still until then.

    Args:
        writer: its status says that the run is paused, and why.
        clock: stopped while waiting.
        step: the step to report in the status.
        stop_requested: whether to give up.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        writer: RunWriter,
        clock: RunClock,
        *,
        step: Callable[[], int],
        stop_requested: Callable[[], bool],
        sleep: Callable[[float], None],
    ) -> None:
        self._writer, self._clock = writer, clock
        self._step, self._stop_requested, self._sleep = step, stop_requested, sleep

    def write(self, action: Callable[[], T]) -> T:
        """The result of `action`, which must leave nothing behind when it fails.

        Raises:
            TinyGPTError: it failed for another reason, or a stop was requested while waiting.
        """
        before, paused = self._writer.last_status, None
        while True:
            try:
                result = action()
                break
            except TinyGPTError as error:
                if not error.disk_full:
                    raise
                paused = self._wait(error)
        if paused and self._writer.last_status == paused:  # `action` itself may have set the status
            with suppress(TinyGPTError):
                self._writer.status(before[0], self._step(), before[1])
        return result

    def _wait(self, error: TinyGPTError) -> tuple[StatusState, str | None]:
        """Pause until the next attempt; returns the status during the pause."""
        with self._clock.stopped():
            with suppress(TinyGPTError):
                reason = f"{error}; training continues once there is space"
                self._writer.status("paused", self._step(), reason)
            self._sleep(DISK_FULL_POLL)
        if self._stop_requested():
            raise error
        return self._writer.last_status
