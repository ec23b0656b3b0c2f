"""Textual's driver for a page of a browser, with its gaps closed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from textual.drivers.web_driver import WebDriver


class PageDriver(WebDriver):
    """Leaves the mouse to the browser if it is told to, and survives a server that is gone: the app
    then ends as without its terminal (`tinygpt_tui.shell.terminal`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._write = self._write_or_drop  # type: ignore[assignment]

    def start_application_mode(self) -> None:
        """Begin to draw."""
        super().start_application_mode()
        if not self._mouse:
            self._disable_mouse_support()

    def _write_or_drop(self, data: bytes) -> int:
        with suppress(BrokenPipeError):
            return os.write(self.fileno, data)
        return len(data)
