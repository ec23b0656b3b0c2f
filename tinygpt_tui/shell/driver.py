"""Textual's driver for Linux and macOS, with its gaps closed."""

from __future__ import annotations

import codecs
import os
import signal
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

    @property
    def can_suspend(self) -> bool:
        """Whether a shell waits for this process group, which can bring it back to the foreground.

        Without one (the command of a tmux window or of ssh), a stopped app would hang there.
        """
        import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

        group, waiting = os.getpgrp(), os.getppid()
        try:
            while os.getpgid(waiting) == group:
                waiting = psutil.Process(waiting).ppid()
            return os.getsid(waiting) == os.getsid(0)
        except (OSError, psutil.Error):  # no such process any more, or one of another session
            return False

    def _sigtstp_application(self, *_: object) -> None:
        """Stop this process and the others of its group, such as make, for which the shell waits:
        Textual stops this one alone. They are stopped when the terminal is as it was before."""
        if not self.can_suspend:
            return
        self.suspend_application_mode()
        self._must_signal_resume = True
        handler = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        os.kill(os.getpid(), signal.SIGSTOP)

    def stop_application_mode(self) -> None:
        """Leave the terminal as it was."""
        self.write(_CLEAR)
        super().stop_application_mode()
