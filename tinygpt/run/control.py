"""Requests to a training process, as files in control/, so that they work over a shared disk.

A pause lasts as long as its file exists; the others are consumed by the trainer. `begin` is for a
queued run: it no longer waits.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_to_write
from tinygpt.run.layout import CONTROL, StrPath

Request: TypeAlias = Literal["pause", "resume", "stop", "checkpoint", "begin"]

_FILES = frozenset({"pause", "stop", "checkpoint", "begin"})


def request(path: StrPath, name: Request) -> None:
    """Send a request to the trainer of the run directory `path`; "resume" withdraws a pause.

    Idempotent. Raises RunError for an unknown request, or if control/ cannot be written.
    """
    if name not in get_args(Request):
        raise RunError(f"no request {name!r}: choose one of {', '.join(get_args(Request))}")
    folder = Path(path, CONTROL)
    try:
        if name == "resume":
            (folder / "pause").unlink(missing_ok=True)
        else:
            if os.path.islink(folder):
                raise RunError(f"cannot ask for {name}: {folder} is a link")
            folder.mkdir(exist_ok=True)
            os.close(open_to_write(folder / name, os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        raise RunError(f"cannot ask for {name} in {folder}: {error.strerror}") from error


class Control:
    """The trainer's side: lists the folder at most once every `every` seconds of `clock`."""

    def __init__(
        self, path: StrPath, clock: Callable[[], float] = time.monotonic, every: float = 0.2
    ) -> None:
        self._folder = Path(path, CONTROL)
        self._clock = clock
        self._every = every
        self._polled: float | None = None
        self._pending: frozenset[str] = frozenset()

    def poll(self) -> set[str]:
        """The pending requests: all but "resume". Cheap enough for every step.

        While the folder cannot be listed, returns the previous answer.
        """
        now = self._clock()
        if self._polled is None or now - self._polled >= self._every:
            self._polled = now
            self._list()
        return set(self._pending)

    def acknowledge(self, name: str) -> None:
        """Consume a request before acting on it. A pause stays until it is withdrawn."""
        if name == "pause":
            return
        self._remove(name)

    def clear(self) -> None:
        """Delete all requests, even a pause: they were meant for a process that has ended."""
        for name in _FILES:
            self._remove(name)

    def _list(self) -> None:
        try:
            with os.scandir(self._folder) as entries:
                self._pending = _FILES.intersection(entry.name for entry in entries)
        except FileNotFoundError:
            self._pending = frozenset()
        except OSError:
            pass

    def _remove(self, name: str) -> None:
        self._pending -= {name}
        with suppress(OSError):
            (self._folder / name).unlink()
