"""What the terminal can show, from the environment alone: read before the app is imported."""

from __future__ import annotations

import os
import sys

GLYPHS = "│─╭█▁▀●·…⣿"
"""A sample of what the app draws with: lines, blocks, marks, braille."""
_NOT_DRAWN_ON = ("", "dumb", "unknown")
PAGE_DRIVER = "tinygpt_tui.shell.page_driver:PageDriver"
"""What TEXTUAL_DRIVER is in the processes of ``--serve``."""


def in_browser() -> bool:
    """Whether the app is drawn on a page of ``--serve``, which is no matter of this terminal."""
    return os.environ.get("TEXTUAL_DRIVER") == PAGE_DRIVER


def problem() -> str | None:
    """Why the app cannot be drawn here, as one sentence; None if it can."""
    if in_browser():
        return None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "the interface needs a terminal: use --train-only to train without one"
    kind = os.environ.get("TERM", "")
    if kind not in _NOT_DRAWN_ON:
        return None
    name = f"is {kind!r}, which cannot be drawn on" if kind else "is not set"
    return (
        f"the interface needs a terminal, but TERM {name}: set it (xterm-256color is nearly "
        "always right), or use --train-only, --generate or --inspect"
    )


def needs_ascii() -> bool:
    """Whether only ASCII can be drawn: the encoding lacks the glyphs, or the font of a console
    does; or there are no colours, without which only ASCII distinguishes curves."""
    if os.environ.get("NO_COLOR"):
        return True
    if in_browser():
        return False
    if os.environ.get("TERM") == "linux":
        return True
    try:
        GLYPHS.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return True
    return False


def forget_size() -> None:
    """Drop COLUMNS and LINES, which a shell or a script may have exported for another window:
    Textual would believe them instead of the terminal, and never see a change of size. On a page,
    they are the page's."""
    if in_browser():
        return
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
