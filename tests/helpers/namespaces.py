"""Processes as in a container: with pids and a host name of their own, by util-linux's unshare."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.waiting import PATIENCE, running

_PIDS = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_RENAMED = ("sh", "-c", 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"')


def contained(host: str | None = None) -> list[str]:
    """What to put before a command to run it in a pid namespace, and under another host name if one
    is given; skips the test where that is not allowed."""
    prefix = list(_PIDS) if host is None else [*_PIDS, "--uts", *_RENAMED, host]
    if problem := _problem(tuple(prefix)):
        pytest.skip(f"unshare is not allowed here: {problem}")
    return prefix


@cache
def _problem(prefix: Sequence[str]) -> str:
    if shutil.which("unshare") is None:
        return "it is not installed"
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def kill_inside(process: subprocess.Popen[str]) -> None:
    """`kill -9` for a contained command; `process` is that of unshare."""
    (inside,) = psutil.Process(process.pid).children()
    inside.kill()
    process.wait(PATIENCE)


HOLDER = """
import sys
from tinygpt import run
writer = run.RunWriter.create(sys.argv[1], {"seed": 7}, "{}")
writer.status("running", 5)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(folder: Path, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Another process that appears to train the new run `folder`: it holds the locks."""
    with running(
        [*prefix, sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
