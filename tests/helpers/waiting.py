"""Waiting for another process, with a deadline; none outlives the test that started it."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PATIENCE = 100.0
"""Seconds until a test gives up waiting: many processes that import torch at once take long."""


def until(
    condition: Callable[[], object],
    says: Callable[[], str] = lambda: "",
    process: "subprocess.Popen[Any] | None" = None,
) -> None:
    """Wait until the condition holds; `says` describes the situation if it never does. If it is the
    work of `process`, the wait is over when that has ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            assert condition(), f"{_how_it_ended(process)}\n{says()}"
            return
        assert time.monotonic() < deadline, f"the condition never held:\n{says()}"
        time.sleep(0.02)


def _how_it_ended(process: "subprocess.Popen[Any]") -> str:
    _, errors = process.communicate(timeout=PATIENCE)
    return f"{process.args!r} ended with {process.returncode}: {errors!r}"


@contextmanager
def running(command: Sequence[str], **options: Any) -> "Iterator[subprocess.Popen[Any]]":
    """A process with the options of `subprocess.Popen`, killed if it outlives the block."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()
