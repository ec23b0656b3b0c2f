"""A note about a trainer that was started elsewhere and still reads a large corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinygpt_tui.launch.trainer_process import logged_progress
from tinygpt_tui.monitor.follower import RunUpdate


class ReadingNote:
    """Says how far such a trainer has come, as its log tells, until it trains."""

    def __init__(self, show: Callable[[str | None], None]) -> None:
        """`show` shows a note, None removes it."""
        self._show = show
        self._run: Path | None = None
        """What the note is about."""

    def update(self, update: RunUpdate) -> None:
        """Called for each update of the open run."""
        if update.state is None:
            return
        is_new = update.state.state == "new"
        if is_new and (progress := logged_progress(update.run)):
            self._show(progress)
            self._run = update.run
        elif not is_new and self._run == update.run:
            self._show(None)
            self._run = None
