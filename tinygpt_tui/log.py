"""A log for bug reports: errors of the app, in the user's state folder."""

from __future__ import annotations

import os
import time
import traceback
from contextlib import suppress
from pathlib import Path

from tinygpt.files.safe_open import open_to_write

MAX_BYTES = 1 << 20
"""Size at which the log is rotated; the previous one is kept as app.log.1."""


def path() -> Path:
    """tinygpt-tui/app.log in $XDG_STATE_HOME or ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "tinygpt-tui", "app.log")


def note(text: str, error: BaseException | None = None) -> None:
    """Add an entry, with the traceback of `error`. A failure to write is ignored."""
    if error is not None:
        text += "\n" + "".join(traceback.format_exception(error)).rstrip()
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        if os.path.exists(file) and file.stat().st_size > MAX_BYTES:
            file.replace(file.with_name("app.log.1"))
        opened = open_to_write(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(opened, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S%z')} {text}\n")
