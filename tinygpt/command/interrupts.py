"""Signals: the first asks the training to stop after its step, a second SIGINT ends it at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupts:
    """Catches SIGINT, SIGTERM and SIGHUP while entered; under nohup, SIGHUP stays ignored.

    Before `training` is set, a signal raises KeyboardInterrupt, as there is nothing to save. What
    torchrun sends after a SIGINT of the terminal is no second one: then `at_once` is not to be set.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self._at_once = at_once
        self.signal = 0
        """Number of the last signal; 0 before the first."""
        self.training = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def signal_name(self) -> str | None:
        """Name of the last signal; None before the first."""
        return signal.Signals(self.signal).name if self.signal else None

    def _handle(self, number: int, _: FrameType | None) -> None:
        again, self.signal = bool(self.signal), number
        if not self.training or (again and number == signal.SIGINT and self._at_once):
            raise KeyboardInterrupt
