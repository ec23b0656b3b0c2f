"""The help screen, generated from the table of keys."""

from __future__ import annotations

import textwrap

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tinygpt_tui.keymap import GROUPS


class HelpScreen(ModalScreen[None]):
    """All keys with their descriptions, by group."""

    BINDINGS = [("escape,question_mark,q", "dismiss", "close")]  # noqa: RUF012 - textual's own way
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 100%;
                                border: round $primary; padding: 0 1; background: $surface; }
    HelpScreen Static { height: auto; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=True):
            yield Static(help_text(min(self.app.size.width, 76) - 6))


def help_text(width: int) -> str:
    """The table of keys as markup, in lines of at most `width` cells."""
    lines = []
    for title, keys in GROUPS.items():
        lines += [f"[b]{title}[/b]"]
        for key in keys:
            first, *more = textwrap.wrap(key.help, max(width - 15, 10))
            lines.append(f"  [$accent]{key.text.replace('[', chr(92) + '['):<12}[/] {first}")
            lines += [" " * 15 + line for line in more]
        lines.append("")
    return "\n".join([*lines, "[dim]Esc closes this[/dim]"])
