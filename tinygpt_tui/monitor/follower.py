"""Following a run from a thread: what is new in its directory, as one message at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from textual.message import Message
from textual.message_pump import MessagePump

from tinygpt.errors import TinyGPTError
from tinygpt.run import (
    VARIANTS,
    CheckpointRecord,
    Item,
    MetricsReader,
    RunState,
    list_steps,
    read_state,
)
from tinygpt_tui.monitor.machine import Machine, read_machine

PERIOD = 0.5
"""Seconds between two looks at the directory."""


@dataclass
class RunUpdate:
    """What one look found."""

    run: Path
    items: list[Item] = field(default_factory=list)
    restarted: bool = False
    """The records start over: the file was replaced."""
    state: RunState | None = None
    machine: Machine | None = None
    kept: dict[str, list[int]] | None = None
    """The steps of each variant's checkpoints, ascending; None where nobody looked."""
    more: bool = False
    """A large file is not read to its end yet."""
    error: str | None = None


class RunUpdated(Message):
    """News of the run that is followed."""

    def __init__(self, news: RunUpdate, sequence: int) -> None:
        super().__init__()
        self.news, self.sequence = news, sequence


class Follower:
    """Reads one run directory in a thread and posts `RunUpdated` to `target`.

    Nothing is posted when nothing changed but the machine's load, unless `machine_every` seconds
    went by. The thread ends with `stop`, or with the process.
    """

    def __init__(
        self,
        run: Path,
        target: MessagePump,
        sequence: int,
        *,
        period: float = PERIOD,
        machine_every: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run = run
        self._target, self._sequence = target, sequence
        self._period, self._machine_every, self._clock = period, machine_every, clock
        self._wake = threading.Event()
        self._stopped = False
        self._reader = MetricsReader(run)
        self._state: RunState | None = None
        self._machine_read = -machine_every
        self._thread = threading.Thread(target=self._loop, name=f"follow {run.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Post nothing from now on."""
        self._stopped = True
        self._wake.set()

    def poll_now(self) -> None:
        """Look now: something was asked of the run."""
        self._wake.set()

    def look(self) -> RunUpdate:
        """One look at the directory; what the thread does, for tests too."""
        news = RunUpdate(self.run)
        try:
            news.items = self._reader.read_bulk()
            news.restarted = self._reader.restarted
            news.more = len(news.items) > 0 and self._reader.has_more()
        except TinyGPTError as error:
            news.error = str(error)
        news.state = read_state(self.run)
        if self._clock() - self._machine_read >= self._machine_every:
            self._machine_read = self._clock()
            news.machine = read_machine()
        if news.machine or any(isinstance(item, CheckpointRecord) for item in news.items):
            news.kept = {variant: list_steps(self.run, variant) for variant in VARIANTS}
        return news

    def _loop(self) -> None:
        while not self._stopped:
            try:
                news = self.look()
            except Exception as error:  # noqa: BLE001 - a thread must not die unheard
                news = RunUpdate(self.run, error=f"{type(error).__name__}: {error}")
            if not self._stopped and self._worth_telling(news):
                self._target.post_message(RunUpdated(news, self._sequence))
            if not news.more:
                self._wake.wait(self._period)
                self._wake.clear()

    def _worth_telling(self, news: RunUpdate) -> bool:
        was, self._state = self._state, news.state
        same = was is not None and news.state is not None and _shown(was) == _shown(news.state)
        return bool(news.items or news.restarted or news.machine or news.error or not same)


def _shown(state: RunState) -> tuple[str, str]:
    return state.state, state.reason
