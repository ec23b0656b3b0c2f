"""How far a large text is read and encoded before training: a bar on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tinygpt.command.streams import safe, say
from tinygpt.formatting import duration

if TYPE_CHECKING:
    from tinygpt.data.scan import Report

SILENT = 2.0
"""Seconds of work that are not reported."""
LINE_EVERY = 10.0
"""Seconds between two lines."""
BAR_EVERY = 0.25
_LINES = ("reading the corpus: ", "encoding the corpus: ", "waiting for another run")


def is_progress(line: str) -> bool:
    """Whether a line of a log is such a line."""
    return line.startswith(_LINES)


@contextmanager
def text_progress() -> Iterator[Report]:
    """A function to report to, see `tinygpt.data.scan`, which prints to stderr."""
    with ExitStack() as stack:
        progress = _Progress(stack if sys.stderr.isatty() else None)
        yield progress.report


class _Progress:
    """Prints how far a piece of work is, and how long it will take."""

    def __init__(self, stack: ExitStack | None) -> None:
        """`stack` is that of the terminal, None for lines."""
        self._stack = stack
        self._what = ""
        self._began = self._shown = 0.0
        self._before = 0.0
        """How much was done when it was first reported: a text may be encoded in part."""

    def report(self, what: str, done: float, of: float) -> None:
        """Called often."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._began, self._before = what, now, done
            self._shown = now + SILENT
        if now < self._shown:
            return
        self._shown = now + (LINE_EVERY if self._stack is None else BAR_EVERY)
        text = self._text(done, of, now - self._began)
        if self._stack is None:
            say(text)
        else:
            self._draw(text)

    def _text(self, done: float, of: float, seconds: float) -> str:
        if not done:
            return self._what
        if not of:
            return f"{self._what} the corpus: {done / 1e9:.2f} GB"
        new = done - self._before
        left = f", {duration(seconds * (of - done) / new)} left" if new else ""
        return f"{self._what} the corpus: {done / of:.0%} of {of / 1e9:.2f} GB{left}"

    def _draw(self, text: str) -> None:
        """Rewrite the line of the terminal."""
        stream = safe(sys.stderr)
        stream.write(f"\r\x1b[K{text}")
        stream.flush()
        assert self._stack is not None
        self._stack.pop_all()
        self._stack.callback(lambda: stream.write("\r\x1b[K"))
