"""A dialog with a list: Enter selects an entry, other keys act on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text as Rich
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tinygpt_tui.keymap import GROUPS
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.help import HelpScreen


class PickResult(NamedTuple):
    """The chosen action and the entry it is for."""

    action: str
    """"select", or one of the actions in the dialog's group of keys."""
    value: str


_OWN = {"select", "leave", "help"}
"""Actions that the dialog itself does."""


class PickDialog(Dialog[PickResult]):
    """A list of labelled values."""

    DEFAULT_CSS = """
    PickDialog OptionList { max-height: 20; min-width: 40; }
    PickDialog .heading { height: 1; width: auto; color: $text-muted; }
    """

    def __init__(
        self,
        title: str,
        entries: Sequence[tuple[str, str]],
        *,
        group: str = "",
        at: int = 0,
        heading: str = "",
    ) -> None:
        """`entries` are (value, label); `group` is the title of its keys in the keymap, if
        it has some of its own; `at` is highlighted; `heading` stands above the labels, for its
        columns."""
        keys = GROUPS.get(group, ())
        plain = [("Enter", "select"), ("Esc", "back")]
        super().__init__(title, [(key.text, key.label) for key in keys] or plain)
        self._entries, self._at, self._heading, self._group = entries, at, heading, group
        self._actions = {name: key.action for key in keys for name in key.keys.split(",")}

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", show=False)]

    def compose(self) -> ComposeResult:
        options = [Option(Rich(f" {label} ", no_wrap=True)) for _, label in self._entries]
        heading = [Static(Rich(f" {self._heading}", no_wrap=True), classes="heading")]
        yield self.box(*(heading if self._heading else []), OptionList(*options))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = min(self._at, len(self._entries) - 1) if self._entries else None
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(PickResult("select", self._entries[event.option_index][0]))

    def on_key(self, event: Key) -> None:
        action = self._actions.get(event.key)
        place = self.query_one(OptionList).highlighted
        if action == "help":
            event.stop()
            self.app.push_screen(HelpScreen([self._group]))
        elif action and action not in _OWN and place is not None:
            event.stop()
            self.dismiss(PickResult(action, self._entries[place][0]))
