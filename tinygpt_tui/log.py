"""A log for bug reports: what went wrong in the app, kept in the user's state folder."""

from __future__ import annotations

import os
import time
import traceback
from contextlib import suppress
from pathlib import Path

LARGEST = 1 << 20
"""Bytes after which the log starts anew; the one before is kept as app.log.1."""


def path() -> Path:
    """Where the log is: $XDG_STATE_HOME or ~/.local/state, tinygpt-tui/app.log."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "tinygpt-tui", "app.log")


def note(text: str, error: BaseException | None = None) -> None:
    """Add an entry. A disk that refuses is no reason to trouble anyone."""
    if error is not None:
        text += "\n" + "".join(traceback.format_exception(error)).rstrip()
    with suppress(OSError, RuntimeError):  # no home folder
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size > LARGEST:
            file.replace(file.with_name("app.log.1"))
        with open(file, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S%z')} {text}\n")
