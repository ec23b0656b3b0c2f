"""The processes that send a run to its trackers, seen from the training.

It starts them, passes on what they say, and at its end gives them a bounded time. It never waits
for one before that, and none of them can end it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tinygpt import child_process, hints
from tinygpt.tracking.state import LOG, note_problem

LOOK_EVERY = 1.0
"""Seconds between two looks at what the processes say, during a training."""
FINISH_SECONDS = 30.0
"""What a tracker gets at the end of a training to send the rest."""
GRACE_SECONDS = 10.0
"""The same after a signal: schedulers kill what remains soon after it."""
ORPHAN_SECONDS = 5.0
"""What it takes in addition if nobody is left to end it."""
SOON = 2.0
"""Seconds after which it is said what is waited for."""
POLL = 0.05
"""Seconds between two looks whether they have finished."""

_ERROR = "!"


class _Process:
    """The process of one tracker."""

    def __init__(self, run: Path, name: str, seconds: float, flags: Sequence[str]) -> None:
        self.run, self.name = run, name
        words = ("tinygpt.tracking", str(run), name, str(seconds), *flags)
        self._process = subprocess.Popen(
            [sys.executable, *child_process.PYTHON_OPTIONS, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_process.environment(),
            start_new_session=True,  # Ctrl-C is for the training, which it outlives
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._said = b""
        self.is_over = False
        self.failed = False

    def close(self) -> None:
        """Tell it that the training has ended."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def look(self) -> Iterator[str]:
        """What it has said since the last look, as sentences for the user."""
        if self.is_over:
            return
        status = self._process.poll()  # asked first, so that its last words are read
        yield from self._lines()
        if status is None:
            return
        self.is_over = True
        if status and not self.failed:
            how = f"exited with status {status}" if status > 0 else f"was killed ({-status})"
            yield self._failure(f"its process {how}, see {self.run / self.name / LOG}")
        self._end()

    def kill(self) -> str:
        """End it, with all that it has started; what to tell the user."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._end()
        self.is_over = True
        return self._failure("it has not finished in time")

    def _end(self) -> None:
        self.close()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        while data := self._process.stdout.read():
            self._said += data
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "backslashreplace")
            if text.startswith(_ERROR):
                yield self._failure(text.removeprefix(_ERROR))
            else:
                yield f"{self.name}: {text}"

    def _failure(self, reason: str) -> str:
        self.failed = True
        note_problem(self.run / self.name, reason)
        later = hints.track(self.run, self.name)
        return f"{self.name} stopped: {reason.rstrip('.')}; send the rest with: {later}"


class Trackers:
    """The trackers of a training. In the with-block they follow it; then they are told its end."""

    def __init__(
        self,
        run: Path,
        names: Sequence[str],
        *,
        model: bool,
        say: Callable[[str], None],
        seconds: float = FINISH_SECONDS,
    ) -> None:
        """`model` sends the best model at the end too; `say` tells the user a sentence; `seconds`
        is what they get at the end."""
        self._run, self._names, self.say = run, names, say
        self._flags = ["live", *(["model"] if model else [])]
        self._seconds = seconds
        self._processes: list[_Process] = []
        self._looked = time.monotonic()

    def __enter__(self) -> Trackers:
        for name in self._names:
            try:
                process = _Process(self._run, name, self._seconds + ORPHAN_SECONDS, self._flags)
            except OSError as error:
                self.say(f"{name} stopped: its process cannot be started: {error.strerror}")
            else:
                self._processes.append(process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.close()

    def look(self) -> None:
        """Pass on what they say; call it often, it takes no time."""
        if self._processes and time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            self._pass_on()

    def finish(self, is_interrupted: Callable[[], bool]) -> None:
        """Wait until they have sent the rest, but not for long, and not after another signal."""
        for process in self._processes:
            process.close()
        begun, patient = time.monotonic(), not is_interrupted()
        seconds = self._seconds if patient else min(self._seconds, GRACE_SECONDS)
        told = False
        while self._pass_on() and (waited := time.monotonic() - begun) < seconds:
            if patient and is_interrupted():
                break
            if waited > SOON and not told:
                names = ", ".join(p.name for p in self._processes if not p.is_over)
                self.say(f"waiting for {names} to send the rest, for {seconds:.0f} s at most")
                told = True
            time.sleep(POLL)
        for process in self._processes:
            if not process.is_over:
                self.say(process.kill())

    def _pass_on(self) -> bool:
        """Say what they say; whether any of them is still running."""
        for process in self._processes:
            for sentence in process.look():
                self.say(sentence)
        return not all(process.is_over for process in self._processes)


def send(
    run: Path,
    names: Sequence[str],
    *,
    model: bool,
    is_live: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Send a run to trackers, while and after `is_live`, however long it takes; whether it worked.

    If the wait is interrupted, the processes are ended; what they sent is noted down.
    """
    processes = [_Process(run, name, 0, ["model"] if model else []) for name in names]
    live, looked = True, -LOOK_EVERY
    try:
        while not all(process.is_over for process in processes):
            if live and time.monotonic() - looked >= LOOK_EVERY:
                live, looked = is_live(), time.monotonic()
            for process in processes:
                if not live:
                    process.close()
                for sentence in process.look():
                    say(sentence)
            time.sleep(POLL)
    except BaseException:
        for process in processes:
            if not process.is_over:
                process.kill()
        raise
    return not any(process.failed for process in processes)
