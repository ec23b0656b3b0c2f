"""Progress on stderr: lines in a pipe, bars on a terminal, and a bar for the download."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, suppress
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Column

from tinygpt import formatting, smoothing
from tinygpt.command.progress import Latest, ProgressTracker
from tinygpt.command.streams import safe, say
from tinygpt.formatting import duration


def terminal_columns() -> int:
    """Width of the terminal that stderr is; COLUMNS only where it does not know its size.

    COLUMNS may have been exported for another window, and bars of its width would wrap.
    """
    with suppress(OSError, ValueError):
        if columns := os.get_terminal_size(sys.stderr.fileno()).columns:
            return columns
    return shutil.get_terminal_size().columns


class Lines:
    """Progress in a pipe: plain lines."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Print a message between the lines of progress."""
        say(text)

    def line(self, text: str) -> None:
        """Print a line of progress."""
        say(text)

    def refresh(self) -> None:
        """Nothing to redraw."""


class Bars:
    """Progress on a terminal: a bar per variant, redrawn in place four times a second."""

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._width = max(40, terminal_columns())
        total = tracker.config.steps
        self._progress = Progress(
            TextColumn("{task.description:<5}"),
            BarColumn(bar_width=None, table_column=Column(min_width=8, ratio=1)),
            TextColumn("{task.fields[text]}"),
            # Leaves space for the ^C that a terminal echoes: it would wrap the line.
            console=Console(file=safe(sys.stderr), width=self._width - 2),
            refresh_per_second=4,
            expand=True,
        )
        self._tasks = {
            variant: self._progress.add_task(variant, total=total, completed=latest.step, text="")
            for variant, latest in tracker.latest.items()
        }

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a message above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def line(self, text: str) -> None:
        """Ignored: the bars show the same numbers."""

    def refresh(self) -> None:
        """Hand the newest numbers to the bars; rich draws them from its own thread."""
        left = self._tracker.seconds_left()
        until = "" if left is None else f"{duration(left)} left"
        for variant, task in self._tasks.items():
            latest = self._tracker.latest[variant]
            self._progress.update(task, completed=latest.step, text=self._text(latest, until))

    def _text(self, latest: Latest, until: str) -> str:
        wide = self._width >= 100
        train = smoothing.name(smoothing.SPAN) if wide else "train"
        parts = [
            f"step {latest.step:,}",
            f"{train} {formatting.loss(latest.train_loss)}" if latest.train_loss else "",
            f"val {latest.val_loss:.4f}" if latest.val_loss is not None else "",
            f"ppl {latest.perplexity:.2f}" if wide and latest.perplexity is not None else "",
            f"{latest.tokens_per_second:,.0f} tok/s" if latest.tokens_per_second else "",
            until,
        ]
        return "  ".join(part for part in parts if part)


Display: TypeAlias = Lines | Bars


class DownloadBar:
    """A progress bar with pooch's interface, drawn by rich once the size is known."""

    def __init__(self) -> None:
        self._total = 0
        self._stack = ExitStack()
        self._update: Any = None

    def __enter__(self) -> DownloadBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def total(self) -> int:
        """Size of the download in bytes."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        columns = (*Progress.get_default_columns(), DownloadColumn())
        console = Console(file=safe(sys.stderr), width=terminal_columns())
        bar = self._stack.enter_context(Progress(*columns, console=console))
        task = bar.add_task("tinyshakespeare", total=value)
        self._update = lambda size: bar.update(task, advance=size)

    def update(self, size: int) -> None:
        """`size` more bytes have arrived."""
        if self._update:
            self._update(size)

    def reset(self) -> None:
        """Pooch resets its bar before it fills it; this one is full already."""

    def close(self) -> None:
        """`__exit__` removes the bar."""
