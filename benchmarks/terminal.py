"""A command in a pseudo-terminal: type keys into it, and record what it sends and when."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil


class Terminal:
    """A process in a terminal with 256 colours, as over SSH: without COLORTERM."""

    def __init__(self, command: Sequence[str], size: tuple[int, int], cwd: Path) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLORTERM", "NO_COLOR")}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._fd = ours
        self.sent: list[tuple[float, bytes]] = []
        """The chunks it sent, with the seconds since its start."""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                if not select.select([self._fd], [], [], 0.5)[0]:
                    continue
                data = os.read(self._fd, 65536)
            except OSError:
                return
            with self._changed:
                self.sent.append((time.perf_counter() - self.began, data))
                self._changed.notify_all()
            for question, answer in ((b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?62c")):
                if question in data:
                    self.type(answer)

    def type(self, keys: bytes) -> float:
        """Type `keys`; return the seconds since the start."""
        os.write(self._fd, keys)
        return time.perf_counter() - self.began

    def text(self, since: float = 0.0) -> bytes:
        """Everything sent after `since` seconds."""
        return b"".join(data for when, data in list(self.sent) if when >= since)

    def wait_for(self, text: bytes, since: float = 0.0, limit: float = 60.0) -> float:
        """Seconds since the start at which `text` had been sent completely."""
        deadline = time.perf_counter() + limit
        received, place = b"", sum(when < since for when, _ in self.sent)
        while time.perf_counter() < deadline:
            with self._changed:
                if len(self.sent) == place:
                    self._changed.wait(timeout=1.0)
            while place < len(self.sent):
                when, data = self.sent[place]
                received, place = received + data, place + 1
                if text in received:
                    return when
        raise TimeoutError(f"{text!r} was not sent; the last output was {self.text()[-300:]!r}")

    def usage(self) -> tuple[float, float]:
        """CPU seconds so far and MiB of resident memory of the process, without children."""
        process = psutil.Process(self.process.pid)
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss / 2**20

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, as a cut connection does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._fd)
