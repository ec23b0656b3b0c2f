"""Follows a run: a thread reads new records in its directory and posts them as messages."""

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
    CheckpointList,
    CheckpointRecord,
    Item,
    MetricsReader,
    RunState,
    list_checkpoints,
    read_state,
)
from tinygpt.run.status import HeartbeatWatch
from tinygpt_tui.monitor.machine import Machine, read_machine

PERIOD = 0.5
"""Seconds between two reads of the directory."""


@dataclass
class RunUpdate:
    """The result of one read of a run directory."""

    run: Path
    items: list[Item] = field(default_factory=list)
    restarted: bool = False
    """Whether the records start over, since the file was replaced."""
    state: RunState | None = None
    machine: Machine | None = None
    checkpoints: dict[str, CheckpointList] | None = None
    """By variant; None if they were not listed this time."""
    more: bool = False
    """Whether a large file has not been read to its end yet."""
    error: str | None = None


class RunUpdated(Message):
    """The followed run has changed."""

    def __init__(self, update: RunUpdate, sequence: int) -> None:
        super().__init__()
        self.update, self.sequence = update, sequence


class Follower:
    """Reads one run directory in a thread and posts `RunUpdated` to `target`.

    The machine's load is posted every `machine_every` seconds, everything else only when it has
    changed. The thread ends after `stop`, or with the process.
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
        self._heartbeat = HeartbeatWatch()
        self._state: RunState | None = None
        self._machine_read = -machine_every
        self._thread = threading.Thread(target=self._loop, name=f"follow {run.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is posted from now on."""
        self._stopped = True
        self._wake.set()

    def poll_now(self) -> None:
        """Read without waiting for the next period."""
        self._wake.set()

    def poll(self) -> RunUpdate:
        """Read the directory once; called by the thread, and by tests."""
        update = RunUpdate(self.run)
        try:
            update.items = self._reader.read_bulk()
            update.restarted = self._reader.restarted
            update.more = len(update.items) > 0 and self._reader.has_more()
        except TinyGPTError as error:
            update.error = str(error)
        update.state = read_state(self.run, heartbeat_age=self._heartbeat)
        if self._clock() - self._machine_read >= self._machine_every:
            self._machine_read = self._clock()
            update.machine = read_machine()
        turned = self._state is not None and self._state.active != update.state.active
        saved = any(isinstance(item, CheckpointRecord) for item in update.items)
        if update.machine or saved or turned:
            update.checkpoints = list_checkpoints(self.run, live=update.state.active)
        return update

    def _loop(self) -> None:
        while not self._stopped:
            try:
                update = self.poll()
            except Exception as error:  # noqa: BLE001 - report it; a dead thread would look idle
                update = RunUpdate(self.run, error=f"{type(error).__name__}: {error}")
            if not self._stopped and self._has_changed(update):
                self._target.post_message(RunUpdated(update, self._sequence))
            if not update.more:
                self._wake.wait(self._period)
                self._wake.clear()

    def _has_changed(self, update: RunUpdate) -> bool:
        before, self._state = self._state, update.state
        same_state = (
            before is not None
            and update.state is not None
            and _displayed(before) == _displayed(update.state)
        )
        return bool(
            update.items or update.restarted or update.machine or update.error or not same_state
        )


def _displayed(state: RunState) -> tuple[str, str]:
    return state.state, state.reason
