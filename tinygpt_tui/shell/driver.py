"""Textual's driver for Linux and macOS, with four gaps closed."""

from __future__ import annotations

import codecs
import sys
from functools import partial
from typing import Any

from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

_CLEAR = "\x1b[0m\x1b[H\x1b[2J"


class TerminalDriver(LinuxDriver):
    """Draws on stdout, so that stderr may be redirected, in the encoding of the locale; reads keys
    in that encoding, and survives bytes that are not in it; leaves a terminal without an
    alternate screen empty, such as GNU Screen as it is configured by default."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._file = sys.__stdout__

    def run_input_thread(self) -> None:
        """Read keys until the app ends."""
        encoding = sys.__stdin__.encoding if sys.__stdin__ else "utf-8"
        tolerant = partial(codecs.getincrementaldecoder(encoding), "replace")
        # Textual's is strict, and for UTF-8 alone: one other byte would end the app.
        linux_driver.getincrementaldecoder = lambda _: tolerant  # type: ignore[assignment, attr-defined]
        super().run_input_thread()

    def stop_application_mode(self) -> None:
        """Leave the terminal as it was."""
        self.write(_CLEAR)
        super().stop_application_mode()
