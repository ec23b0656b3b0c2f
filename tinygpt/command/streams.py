"""Where the command writes: stdout and stderr, which may be closed at any time, and train.log."""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from tinygpt.errors import DISK_FULL_ERRNOS
from tinygpt.escape import printable
from tinygpt.files.safe_open import open_to_write
from tinygpt.run import LOG


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever they are; call it before anything else.

    A closed one becomes /dev/null: otherwise the next file that is opened, a checkpoint or a log,
    would take its descriptor and what is printed, here or in a child. What the encoding of the
    locale lacks is escaped, and what stderr has not accepted by the end is dropped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # This takes the closed descriptor: it is the lowest free one.
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")
    atexit.register(_drop_what_stderr_refuses)


def _drop_what_stderr_refuses() -> None:
    """Otherwise Python, from 3.14 on, ends with the status 120 instead of the command's."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        redirect_to_null(sys.stderr)


def redirect_to_null(stream: TextIO) -> None:
    """Lead a stream that cannot be written to /dev/null.

    Otherwise the text that is still buffered would fail again when Python exits.
    """
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class BrokenPipeSafeStream:
    """A stream that drops what it cannot write, so that a closed pipe does not end a training."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        with self._errors_dropped():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, or drop what it has buffered."""
        with self._errors_dropped():
            self._stream.flush()

    @contextmanager
    def _errors_dropped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # stderr may be a log on a full disk, which is continued once there is space. What it
            # still holds at exit is dropped there; stdout would fail then.
            if error.errno not in DISK_FULL_ERRNOS or self._stream is not sys.stderr:
                redirect_to_null(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def safe(stream: TextIO) -> TextIO:
    """The stream, wrapped so that writing to a closed pipe does not raise."""
    return cast("TextIO", BrokenPipeSafeStream(stream))


def say(text: str) -> None:
    """Print to stderr, without control characters."""
    stderr = safe(sys.stderr)
    stderr.write(printable(text, keep="\n") + "\n")
    stderr.flush()


class TrainLog:
    """train.log of a run: the progress as lines, unless stderr is redirected to it already.

    In its with-block, what libraries and the compilers that they call write to descriptor 2 goes
    there too. They would disturb the progress bars. `sys.stderr` leads where it did before.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / LOG
        self._file: TextIO | None = None
        self._is_stderr = False
        self._stack = ExitStack()

    def __enter__(self) -> None:
        with suppress(OSError):
            if os.path.exists(self._path) and os.path.samestat(os.stat(self._path), os.fstat(2)):
                self._is_stderr = True
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
        if self._is_stderr:
            say(text)
        else:
            self.write(text)


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
