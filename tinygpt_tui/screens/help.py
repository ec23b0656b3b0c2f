"""The help screen, generated from the table of keys."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from tinygpt_tui.keymap import GROUPS, Key
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.key_search import matches

WIDTH = 76


class _Filter(Input):
    """A field in which "?" closes the help; only a binding of its own comes before the typing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "screen.leave", show=False, priority=True)
    ]


class HelpScreen(Dialog[None]):
    """All keys with their descriptions, by group, first those that work where it was opened; typing
    filters."""

    DEFAULT_CSS = """
    HelpScreen {
        .box { max-width: 100%; height: 100%; padding: 0 1; }
        Input { width: 1fr; }
        VerticalScroll { height: 1fr; }
        Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll('up')", show=False),
        Binding("down", "scroll('down')", show=False),
        Binding("pageup", "scroll('page_up')", show=False),
        Binding("pagedown", "scroll('page_down')", show=False),
        Binding("ctrl+home", "scroll('home')", show=False),
        Binding("ctrl+end", "scroll('end')", show=False),
    ]

    def __init__(self, first: Sequence[str]) -> None:
        """`first` are the titles of the groups that come first."""
        super().__init__("Keys", [("↑↓ PgUp PgDn", "scroll"), ("? Esc", "close")])
        self._first = first

    def compose(self) -> ComposeResult:
        box = self.box(
            _Filter(placeholder="type a key, or words of what it does", compact=True),
            VerticalScroll(Static(), can_focus=False),
        )
        box.styles.width = WIDTH
        box.styles.min_width = None
        yield box

    def on_mount(self) -> None:
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, query: str) -> None:
        columns = min(self.app.size.width, WIDTH) - 6
        self.query_one(Static).update(help_text(columns, self._first, query))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


def help_text(width: int, first: Sequence[str] = (), query: str = "") -> str:
    """The table of keys as markup, in lines of at most `width` cells: the groups with these titles
    first, and only the keys that the query describes, or those that it names."""
    lines = []
    named = any(query == key.text for group in GROUPS.values() for key in group)
    for title in (*first, *(title for title in GROUPS if title not in first)):
        shown = [
            key
            for key in GROUPS[title]
            if (query == key.text if named else _does(query, title, key))
        ]
        if not shown:
            continue
        lines += [f"[b]{title}[/b]"]
        for key in shown:
            begin, *more = textwrap.wrap(key.help, max(width - 15, 10))
            lines.append(f"  [$accent]{_plain(key.text):<12}[/] {_plain(begin)}")
            lines += [" " * 15 + _plain(line) for line in more]
        lines.append("")
    return "\n".join(lines) or "[dim]No key does that[/dim]"


def _does(query: str, title: str, key: Key) -> bool:
    return matches(query, [title, key.text, key.help, key.label])


def _plain(text: str) -> str:
    """The text as markup that shows it as it is."""
    return text.replace("[", r"\[")
