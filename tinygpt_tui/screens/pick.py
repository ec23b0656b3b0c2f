"""A list to choose from: Enter selects, other keys do something else with the entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text as Rich
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tinygpt_tui.screens.dialog import Dialog


class PickResult(NamedTuple):
    """What was decided about an entry."""

    action: str
    value: str


class PickDialog(Dialog[PickResult]):
    """A list; Enter takes an entry, other keys do something else with it."""

    DEFAULT_CSS = "PickDialog OptionList { max-height: 20; min-width: 40; }"

    def __init__(
        self,
        title: str,
        entries: Sequence[tuple[str, str]],
        *,
        keys: Sequence[tuple[str, str, str]] = (),
        at: int = 0,
    ) -> None:
        """`entries` are (value, label); `keys` are (key, action, label) beside Enter."""
        hints = [("Enter", "take it"), *((key, label) for key, _, label in keys), ("Esc", "back")]
        super().__init__(title, hints)
        self._entries, self._at = entries, at
        self._actions = {key: action for key, action, _ in keys}

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", show=False)]

    def compose(self) -> ComposeResult:
        """The list."""
        options = [Option(Rich(f" {label} ", no_wrap=True)) for _, label in self._entries]
        yield self.box(OptionList(*options))

    def on_mount(self) -> None:
        """Begin at the entry that is in force."""
        found = self.query_one(OptionList)
        found.highlighted = min(self._at, len(self._entries) - 1) if self._entries else None
        found.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or the mouse."""
        self.dismiss(PickResult("take", self._entries[event.option_index][0]))

    def key_c(self) -> None:
        """Another thing to do."""
        self._other("c")

    def key_e(self) -> None:
        """Another thing to do."""
        self._other("e")

    def key_w(self) -> None:
        """Another thing to do."""
        self._other("w")

    def key_delete(self) -> None:
        """Another thing to do."""
        self._other("del")

    def key_d(self) -> None:
        """Another thing to do."""
        self._other("d")

    def _other(self, key: str) -> None:
        place = self.query_one(OptionList).highlighted
        if key in self._actions and place is not None:
            self.dismiss(PickResult(self._actions[key], self._entries[place][0]))
