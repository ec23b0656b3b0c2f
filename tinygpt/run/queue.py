"""A run that is queued: it begins when another one ends.

What waits is the run's own trainer, before it has loaded torch: nothing else has to live for the
run to begin, neither the app nor a server. Until then its folder holds a status.json, "queued", and
a queue.json with the options it was given, so that it can be started after all if its process was
killed. Training begins in a folder without them, as that of any run.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tinygpt.errors import RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import read_text
from tinygpt.run.control import Control
from tinygpt.run.group import is_group, is_group_trained
from tinygpt.run.layout import CONTROL, LOCK, LOG, METRICS, QUEUE, RUN_TOML, STATUS, StrPath
from tinygpt.run.presence import (
    Kernel,
    boot_id,
    look_at_lock,
    pid_namespace,
    process_start,
    this_host,
)
from tinygpt.run.status import LARGEST_STATUS, RunState, Status, read_state, write_status
from tinygpt.run.writer import lock_run

LOOK_EVERY = 1.0
"""Seconds between two looks at the other run."""
HEARTBEAT_EVERY = 5.0
STARTING = 300.0
"""Seconds for which a run that no trainer has reported on counts as one that is about to begin."""
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A place in the queue."""

    after: str
    """The run or group whose end is waited for: its name, or its path if it is elsewhere."""
    arguments: tuple[str, ...]
    """The options that the run was given, but for those that name it."""


def read_entry(run: StrPath) -> Entry | None:
    """The place of the run directory `run` in the queue, None if it has none: it began, or was
    never queued."""
    try:
        data: Any = json.loads(read_text(Path(run, QUEUE), _LARGEST))
        arguments = data["arguments"]
        if isinstance(data["after"], str) and all(isinstance(word, str) for word in arguments):
            return Entry(data["after"], tuple(arguments))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def leave_queue(run: StrPath) -> None:
    """Remove what a queued run has in its folder besides its log. Its process must not live."""
    for name in (QUEUE, STATUS, LOCK):
        with suppress(OSError):
            Path(run, name).unlink()
    with suppress(OSError):
        Control(run).clear()
        Path(run, CONTROL).rmdir()


class Queued:
    """The place of a run in the queue, held by this process.

    Every method raises RunError, which names the file, if it cannot write.
    """

    def __init__(self, run: Path, after: Path, arguments: Sequence[str]) -> None:
        """Take a place in the folder `run`, which may have a log, but no run.

        Raises:
            RunError: there is a run, or a process that trains it or waits to.
        """
        self.run = run
        self.after, self._arguments = after, list(arguments)
        self._further: Path | None = None
        """What the awaited run waits for itself, while it does: if it never begins, that is next.
        """
        self._written = -float("inf")
        try:
            atomic.make_folders(run)
            self._lock = lock_run(run)
            try:
                if any(os.path.lexists(run / name) for name in (RUN_TOML, METRICS, STATUS)):
                    raise RunError(f"{run} already holds a run: choose another --name")
                self._take_place()
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise RunError(f"cannot write {error.filename or run}: {error.strerror}") from error

    def _take_place(self) -> None:
        """Write the files of the place; a signal that arrives meanwhile leaves none of them."""
        try:
            Control(self.run).clear()
            self._write_entry()
            self._report()
        except KeyboardInterrupt:
            leave_queue(self.run)
            self._remove_folder()
            raise

    def wait(self, every: float = LOOK_EVERY, clock: Callable[[], float] = time.time) -> bool:
        """Wait until the other run has ended, however it did, or this one is to begin at once;
        False if it was cancelled, or its folder deleted. A disk that is full or does not answer
        costs no place."""
        control, pause = Control(self.run, every=0.0), threading.Event()
        while self._is_busy(clock()):
            requests = control.poll()
            if "stop" in requests or _is_gone(self.run):
                return False
            if "begin" in requests:
                return True
            if not 0 <= clock() - self._written < HEARTBEAT_EVERY:
                with suppress(RunError):
                    self._report()
            pause.wait(every)
        return not ("stop" in control.poll() or _is_gone(self.run))

    def begin(self) -> None:
        """Give up the place: the folder is ready for a run."""
        leave_queue(self.run)
        os.close(self._lock)

    def fail(self, error: str) -> None:
        """Report, after `begin`, that no run came of it; its options are kept for another start."""
        if not os.path.lexists(self.run / RUN_TOML):
            self._write_entry()
            report(self.run, "failed", after=self._name_of(self.after), error=error)

    def cancel(self) -> None:
        """Give up the place, and remove the folder if it has nothing but a log."""
        self.begin()
        self._remove_folder()

    def _remove_folder(self) -> None:
        with suppress(OSError):
            if os.listdir(self.run) == [LOG]:
                (self.run / LOG).unlink()
            self.run.rmdir()

    def _is_busy(self, now: float) -> bool:
        """Whether the awaited run, or what that waits for, goes on."""
        while True:
            state = read_state(self.after, now)
            if state.state == "queued" and state.status and state.status.after:
                self._further = self.after.parent / state.status.after
                return True
            if is_busy(self.after, state, now):
                if state.state != "new":  # which one that is being cancelled is for a moment
                    self._further = None
                return True
            if self._further is None:
                return False
            self.after, self._further = self._further, None
            with suppress(RunError):
                self._report()

    def _name_of(self, after: Path) -> str:
        same = os.path.abspath(after.parent) == os.path.abspath(self.run.parent)
        return after.name if same else os.path.abspath(after)

    def _write_entry(self) -> None:
        entry = {"after": self._name_of(self.after), "arguments": self._arguments}
        atomic.write_json(self.run / QUEUE, entry)

    def _report(self) -> None:
        self._written = time.time()
        report(self.run, "queued", after=self._name_of(self.after))


def is_busy(run: StrPath, state: RunState, now: float) -> bool:
    """Whether a run with this state is being trained, or about to be, as far as can be told; or a
    group is."""
    if is_group(run):
        return is_group_trained(run)
    if state.state == "unreadable":
        return _may_be_trained(Path(run))
    if state.state != "new":
        return state.active
    try:
        return now - Path(run).stat().st_mtime < STARTING
    except OSError:
        return False


def _may_be_trained(run: Path) -> bool:
    """Whether a run whose status cannot be read may go on: its disk does not answer now, or its
    trainer holds the lock."""
    try:
        read_text(run / STATUS, LARGEST_STATUS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    except ValueError:
        pass
    return look_at_lock(run / METRICS).state == "held"


def _is_gone(path: Path) -> bool:
    """Whether there certainly is nothing at `path`: an error of its disk does not say so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def report(
    run: Path, state: Literal["queued", "failed"], *, after: str, error: str | None = None
) -> None:
    """Write the status.json of a run that has not begun, by this process. Raises RunError."""
    boot, now = boot_id(), time.time()
    kernel = Kernel(boot_id=boot, pid_namespace=pid_namespace(), locked=None) if boot else None
    status = Status(
        state=state,
        pid=os.getpid(),
        host=this_host(),
        process_started=process_start(os.getpid()) or 0.0,
        step=0,
        heartbeat=now,
        error=error,
        kernel=kernel,
        after=after,
    )
    try:
        write_status(run, status)
    except OSError as problem:
        raise RunError(f"cannot write {run / STATUS}: {problem.strerror}") from problem
