"""The command palette: every command, found by any words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tinygpt_tui.render.cells import padded
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.key_search import Command, search

WIDTH = 60


class Palette(Dialog[Command]):
    """Commands by group; typing filters them, Enter or a click runs one."""

    DEFAULT_CSS = """
    Palette {
        .box { padding: 0 1; height: 100%; }
        Input { width: 1fr; margin-bottom: 1; }
        OptionList { height: 1fr; width: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "list('cursor_up')", show=False),
        Binding("down", "list('cursor_down')", show=False),
        Binding("pageup", "list('page_up')", show=False),
        Binding("pagedown", "list('page_down')", show=False),
        Binding("ctrl+p", "leave", show=False, priority=True),
    ]

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__("Commands", [("↑↓", "choose"), ("Enter", "run"), ("Esc", "close")])
        self._commands = commands
        self.found = list(commands)

    def compose(self) -> ComposeResult:
        query = Input(placeholder="any words: temperature, save map", compact=True)
        box = self.box(query, OptionList())
        box.styles.width = min(WIDTH + 6, self.app.size.width)
        yield box

    def on_mount(self) -> None:
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.found = search(event.value, self._commands)
        self._show()

    def _show(self) -> None:
        options = self.query_one(OptionList)
        options.can_focus = False
        columns = min(WIDTH, self.app.size.width - 8)
        options.clear_options()
        options.add_options([Option(self._line(command, columns)) for command in self.found])
        if self.found:
            options.highlighted = 0
        else:
            options.add_option(Option("no command has these words", disabled=True))

    def _line(self, command: Command, columns: int) -> Text:
        key = command.key.text
        prefix = f" {command.prefix}: "
        verb = padded(command.verb, max(columns - len(prefix) - len(key), 0))
        return Text.assemble(
            (prefix, self.style("muted")), verb, (f"{key} ", self.style("key")), no_wrap=True
        )

    def action_list(self, move: str) -> None:
        getattr(self.query_one(OptionList), f"action_{move}")()

    def on_input_submitted(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None and self.found:
            self.dismiss(self.found[place])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.found[event.option_index])
