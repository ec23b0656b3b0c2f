"""Warnings while training: those of libraries go to train.log, our own to the user too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygpt.command.streams import TrainLog, say
from tinygpt.errors import TinyGPTWarning


class LoggedWarnings:
    """Handles the warnings in its with-block. What libraries warn about before there is a log is
    written as soon as there is one."""

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
