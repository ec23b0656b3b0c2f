"""Signals, a terminal that vanishes, and returning to the foreground with fg."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from textual.app import App

from tinygpt_tui import log

CHECK_PERIOD = 2.0
"""Seconds between two checks that the terminal still exists."""


def handle_terminal(app: App[Any], close: Callable[[], None]) -> None:
    """Exit cleanly on SIGTERM and when the terminal has vanished; quit as by key on SIGINT; redraw
    everything after Ctrl-Z and fg.

    `close` is called before the process ends without a terminal.
    """
    # Its default action would leave the terminal in raw mode. SIGHUP needs no handler: there is no
    # terminal left to restore.
    with suppress(RuntimeError, ValueError):  # only allowed in the main thread; tests use others
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, app.exit, None, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, app.call_later, app.run_action, "app.quit")
    if os.isatty(0) or app.is_web:  # on a page, stdin comes from the server
        app.set_interval(CHECK_PERIOD, partial(_exit_without_terminal, close))
    app.app_resume_signal.subscribe(app, lambda _: _redraw(app))


def has_selection(app: App[Any]) -> bool:
    """Whether text is selected, with the mouse or in a field, which Ctrl-C copies."""
    return bool(getattr(app.focused, "selected_text", "") or app.screen.get_selected_text())


def _exit_without_terminal(close: Callable[[], None]) -> None:
    """End the process if the terminal is gone but no SIGHUP came (after setsid, under nohup):
    Textual would read end-of-file in a loop, which takes a whole core."""
    poll = select.poll()
    poll.register(0, 0)
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)):
        log.note("the terminal is gone")
        close()
        os._exit(128 + signal.SIGHUP)


def _redraw(app: App[Any]) -> None:
    """Draw every widget: after fg the terminal is blank, and an update only sends changes."""
    app.screen.refresh(layout=True)
    for widget in app.screen.query("*"):
        widget.refresh()
