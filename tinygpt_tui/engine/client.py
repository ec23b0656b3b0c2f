"""The interface's end of the engine: starts the process when it is first needed, and hears it."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeAlias

import msgspec

from tinygpt.escape import printable
from tinygpt_tui import log
from tinygpt_tui.engine import protocol
from tinygpt_tui.engine.protocol import Failed, Opened, Reply, Request, StopRequest, Tokens
from tinygpt_tui.launch.trainer_process import environment

Tell: TypeAlias = Callable[[Reply], None]


class Engine:
    """One process at a time, which all tabs ask.

    A process that dies fails the jobs that were open, with its last words; the next request starts
    another.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._open: dict[int, Tell] = {}
        self._lock = threading.Lock()
        self._numbers = 0
        self._closed = False

    def number(self) -> int:
        """A job's number that was not given before."""
        self._numbers += 1
        return self._numbers

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Have the process ready: torch takes a second or two."""
        if self._process is not None or self._closed:
            return
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the thread that listens closes it
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tinygpt_tui.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
                start_new_session=True,  # ctrl+c is the interface's own
            )
        except OSError as error:
            errors.close()
            self._fail_all(f"the engine cannot be started: {error.strerror}")
            return
        self._asked = queue.SimpleQueue()
        words = (self._process, self._asked, errors)
        threading.Thread(target=self._listen, args=words, name="engine in", daemon=True).start()
        threading.Thread(
            target=_talk, args=(self._process, self._asked), name="engine out", daemon=True
        ).start()

    def ask(self, request: Request, tell: Tell) -> None:
        """Send a request; `tell` is called from a thread with every answer to its job."""
        if not isinstance(request, StopRequest):
            with self._lock:
                self._open[request.job] = tell
        self.start()
        self._asked.put(request)

    def close(self) -> None:
        """End the process."""
        self._closed = True
        process, self._process = self._process, None
        self._asked.put(None)
        if process is not None:
            process.kill()
            process.wait()

    def _listen(
        self,
        process: subprocess.Popen[bytes],
        asked: queue.SimpleQueue[Request | None],
        errors: IO[bytes],
    ) -> None:
        assert process.stdout is not None
        with process.stdout as pipe, suppress(OSError, ValueError, msgspec.MsgspecError):
            while (reply := protocol.next_reply(pipe)) is not None:
                self._answer(reply)
        asked.put(None)
        status = process.wait()
        with errors:
            if not self._closed:
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                why = printable(lines[-1].strip()) if lines else f"exit status {status}"
                log.note("the engine ended:\n" + "\n".join(lines[-50:]))
                self._process = None
                self._fail_all(f"the engine ended: {why}")

    def _answer(self, reply: Reply) -> None:
        with self._lock:
            last = not isinstance(reply, Opened | Tokens)
            tell = self._open.pop(reply.job, None) if last else self._open.get(reply.job)
        if tell is not None:
            tell(reply)

    def _fail_all(self, why: str) -> None:
        with self._lock:
            jobs, self._open = self._open, {}
        for job, tell in sorted(jobs.items()):
            tell(Failed(job, why))


def _talk(process: subprocess.Popen[bytes], asked: queue.SimpleQueue[Request | None]) -> None:
    """Requests go out from a thread of their own: a full pipe holds up nobody."""
    assert process.stdin is not None
    with suppress(OSError, ValueError), process.stdin as pipe:
        while (request := asked.get()) is not None:
            protocol.send(pipe, request)
