"""train.log: the progress as lines, and what libraries say while training."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from tinygpt.command.streams import say
from tinygpt.errors import TinyGPTWarning
from tinygpt.files.safe_open import open_to_write
from tinygpt.run import LOG


class TrainLog:
    """train.log of a run: the progress as lines, unless stderr is redirected to it already.

    In its with-block, what libraries and the compilers that they call write to descriptor 2 goes
    there too. They would disturb the progress bars. `sys.stderr` leads where it did before.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / LOG
        self._file: TextIO | None = None
        self.is_stderr = False
        """Whether stderr is redirected to it, so that nobody reads what is printed."""
        self._stack = ExitStack()

    def __enter__(self) -> None:
        with suppress(OSError):
            if os.path.exists(self._path) and os.path.samestat(os.stat(self._path), os.fstat(2)):
                self.is_stderr = True
                return
        with suppress(OSError):  # a training without a log still has its records
            descriptor = open_to_write(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._file = os.fdopen(
                descriptor, "a", encoding="utf-8", errors="backslashreplace", buffering=1
            )
            self._stack.enter_context(_descriptor_2_to(descriptor))

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self._file:
            with suppress(OSError):  # lines that a full disk refused
                self._file.close()

    def write(self, line: str) -> None:
        """Append a line, if it is not empty and the disk accepts it; not if stderr is the log, as
        the line is printed there."""
        if self._file and line:
            with suppress(OSError):
                self._file.write(line.rstrip() + "\n")

    def write_message(self, text: str) -> None:
        """Append what is printed nowhere else."""
        if self.is_stderr:
            say(text)
        else:
            self.write(text)


class LoggedWarnings:
    """Handles the warnings in its with-block: those of libraries go to train.log, our own to the
    user too. What libraries warn about before there is a log is written as soon as there is one."""

    def __init__(self) -> None:
        self._catch = warnings.catch_warnings()
        self._say: Callable[[str], None] = say
        self._log: TrainLog | None = None
        self._kept: list[str] = []

    def __enter__(self) -> None:
        self._catch.__enter__()
        warnings.showwarning = lambda message, category, filename, line, *_: self._show(
            message, category, f"{filename}:{line}"
        )

    def __exit__(self, *error: Any) -> None:
        self._catch.__exit__(*error)

    @contextmanager
    def to(self, log: TrainLog, say: Callable[[str], None]) -> Iterator[None]:
        """In the with-block, they are written to `log`, and our own are shown by `say`."""
        before = self._say
        self._log, self._say = log, say
        for text in self._kept:
            log.write_message(text)
        self._kept.clear()
        try:
            yield
        finally:
            self._log, self._say = None, before

    def _show(self, message: Warning | str, category: type[Warning], where: str) -> None:
        if issubclass(category, TinyGPTWarning):
            self._say(f"warning: {message}")
            if self._log:
                self._log.write(f"warning: {message}")
            return
        text = f"{category.__name__}: {message} ({where})"
        if self._log:
            self._log.write_message(text)
        else:
            self._kept.append(text)


@contextmanager
def _descriptor_2_to(descriptor: int) -> Iterator[None]:
    """In the with-block, descriptor 2 leads to another file, and `sys.stderr` where it led."""
    before, own = sys.stderr, os.dup(2)
    sys.stderr = open(  # noqa: SIM115 - closed below
        own, "w", encoding=before.encoding, errors=before.errors, buffering=1
    )
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        stream, sys.stderr = sys.stderr, before
        with suppress(OSError):  # text that a full disk refused
            stream.close()
