"""Where the command writes: stdout and stderr, which may be closed at any time.

Imported before anything that keeps a file open, so nothing here may load numpy, as `tinygpt.run`
does: on Python 3.14 its ctypes would take the descriptor of a closed stream.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from tinygpt.errors import DISK_FULL_ERRNOS
from tinygpt.escape import printable


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
