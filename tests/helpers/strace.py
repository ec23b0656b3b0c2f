"""Lists the system calls of a trainer with strace, and injects failures into them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.terminals import find
from tests.helpers.waiting import PATIENCE, running

CHANGING: tuple[str, ...] = (
    "openat",
    "mkdir",
    "write",
    "pwrite64",
    "fsync",
    "rename",
    "unlink",
    "unlinkat",
)
CHANGING += ("ftruncate", "rmdir")
"""The system calls with which a run directory is written."""

_LINE = re.compile(r"(\w+)\((.*)")
_MADE = re.compile(r"O_CREAT|O_WRONLY|O_RDWR")


@dataclass(frozen=True)
class Call:
    """One system call of a trace."""

    name: str
    nth: int
    """Its number among the calls of this name, from 1, as strace counts."""
    text: str
    """Its arguments and its result."""

    def changes(self, folder: str) -> bool:
        """Whether it changes something in a folder, by the path that the trainer uses."""
        return folder in self.text and (self.name != "openat" or bool(_MADE.search(self.text)))


def trace(fork_server: ForkServer, argv: list[str], *options: str) -> tuple[int, list[Call]]:
    """Run a trainer under strace; returns its exit status and its system calls."""
    strace = find("strace")
    log = fork_server.folder / "trace"
    pid = fork_server.stopped(*argv)
    with running(
        [strace, "-y", "-s", "400", "-o", str(log), "-p", str(pid), *options],
        stderr=subprocess.PIPE,
        text=True,
    ) as tracer:
        assert tracer.stderr
        said = tracer.stderr.readline()
        if "attached" not in said:
            os.kill(pid, signal.SIGKILL)
            fork_server.ended(pid)
            pytest.skip(f"strace may not trace here: {said.strip()}")
        os.kill(pid, signal.SIGCONT)
        status = fork_server.ended(pid)
        tracer.wait(PATIENCE)
    return status, calls(log)


def calls(log: Path) -> list[Call]:
    """The system calls of a trace."""
    found: list[Call] = []
    counted: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        if match := _LINE.match(line):
            name = match[1]
            counted[name] = counted.get(name, 0) + 1
            found.append(Call(name, counted[name], match[2]))
    return found
