"""The app's end of the engine: starts the process, sends requests and delivers replies."""

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

from tinygpt.child_process import environment
from tinygpt.escape import printable
from tinygpt_tui import log
from tinygpt_tui.engine import protocol
from tinygpt_tui.engine.protocol import Failed, Opened, Reply, Request, StopRequest, Tokens

OnReply: TypeAlias = Callable[[Reply], None]


class Engine:
    """The engine process that all tabs share.

    It starts with the first request. If it dies, its open jobs fail with the last line of its
    stderr, and the next request starts a new one.
    """

    def __init__(self, trainer_pid: Callable[[], int | None] = lambda: None) -> None:
        """`trainer_pid` is asked for the training process, whose GPUs are left to it."""
        self._trainer_pid = trainer_pid
        self._process: subprocess.Popen[bytes] | None = None
        self._outgoing: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._jobs: dict[int, OnReply] = {}
        self._lock = threading.Lock()
        self._last_job = 0
        self._closed = False

    def new_job(self) -> int:
        """An unused job number."""
        self._last_job += 1
        return self._last_job

    @property
    def pid(self) -> int | None:
        """Process id; None while no process runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process ahead of the first request: importing torch takes a second or two."""
        if self._process is not None or self._closed:
            return
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the reading thread closes it
        trainer = self._trainer_pid()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "tinygpt_tui.engine.worker"),
                    *([str(trainer)] if trainer else []),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
                start_new_session=True,  # ctrl+c is for the interface alone
            )
        except OSError as error:
            errors.close()
            self._fail_all(f"the engine cannot be started: {error.strerror}")
            return
        self._outgoing = queue.SimpleQueue()
        pipes = (self._process, self._outgoing)
        for name, target, args in (
            ("engine in", self._receive, (*pipes, errors)),
            ("engine out", _send_all, pipes),
        ):
            threading.Thread(target=target, args=args, name=name, daemon=True).start()

    def ask(self, request: Request, on_reply: OnReply) -> None:
        """Send a request; `on_reply` is called from a thread with every reply to its job."""
        if not isinstance(request, StopRequest):
            with self._lock:
                self._jobs[request.job] = on_reply
        self.start()
        self._outgoing.put(request)

    def close(self) -> None:
        """End the process."""
        self._closed = True
        process, self._process = self._process, None
        self._outgoing.put(None)
        if process is not None:
            process.kill()
            process.wait()

    def _receive(
        self,
        process: subprocess.Popen[bytes],
        outgoing: queue.SimpleQueue[Request | None],
        errors: IO[bytes],
    ) -> None:
        assert process.stdout is not None
        with process.stdout as pipe, suppress(OSError, ValueError, msgspec.MsgspecError):
            while (reply := protocol.next_reply(pipe)) is not None:
                self._deliver(reply)
        outgoing.put(None)
        status = process.wait()
        with errors:
            if not self._closed:
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                why = printable(lines[-1].strip()) if lines else f"exit status {status}"
                log.note("the engine ended:\n" + "\n".join(lines[-50:]))
                self._process = None
                self._fail_all(f"the engine ended: {why}")

    def _deliver(self, reply: Reply) -> None:
        with self._lock:
            last = not isinstance(reply, Opened | Tokens)
            on_reply = self._jobs.pop(reply.job, None) if last else self._jobs.get(reply.job)
        if on_reply is not None:
            on_reply(reply)

    def _fail_all(self, why: str) -> None:
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        for job, on_reply in sorted(jobs.items()):
            on_reply(Failed(job, why))


def _send_all(
    process: subprocess.Popen[bytes], outgoing: queue.SimpleQueue[Request | None]
) -> None:
    """Send requests from a separate thread, so that a full pipe does not block the app."""
    assert process.stdin is not None
    with suppress(OSError, ValueError), process.stdin as pipe:
        while (request := outgoing.get()) is not None:
            protocol.send(pipe, request)
