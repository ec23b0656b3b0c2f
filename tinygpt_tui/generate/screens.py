"""Lists to choose from: presets, checkpoints, the tree of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.text import Text as Rich
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tinygpt.data.tokenizer import summarize
from tinygpt.escape import printable
from tinygpt_tui.generate.tree import Tree
from tinygpt_tui.screens.dialog import Ask, Dialog
from tinygpt_tui.theme import NAMES


class Picked(NamedTuple):
    """What was decided about an entry."""

    action: str
    value: str


class Pick(Dialog[Picked]):
    """A list; Enter takes an entry, other keys do something else with it."""

    DEFAULT_CSS = "Pick OptionList { max-height: 20; min-width: 40; }"

    def __init__(
        self,
        title: str,
        entries: Sequence[tuple[str, str]],
        *,
        keys: Sequence[tuple[str, str, str]] = (),
        at: int = 0,
        plain: bool = False,
    ) -> None:
        """`entries` are (value, label); `keys` are (key, action, label) beside Enter."""
        hints = [("Enter", "take it"), *((key, label) for key, _, label in keys), ("Esc", "back")]
        super().__init__(title, hints, plain=plain)
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
        self.dismiss(Picked("take", self._entries[event.option_index][0]))

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
            self.dismiss(Picked(self._actions[key], self._entries[place][0]))


def with_known(
    app: App[Any],
    text: str,
    unknown: Callable[[str], set[str]],
    take: Callable[[str], None],
    back: Callable[[], object],
    *,
    plain: bool = False,
) -> None:
    """`take` a text: at once if the models know all of it, else as a person wants it mended.

    `unknown` gives the characters of a text that no model knows; `back` is for who mends it alone.
    """
    strange = unknown(text)
    if not strange:
        take(text)
        return
    choices = [("d", "drop", "Drop them"), ("c", "cancel", "Back to the text")]
    if not unknown(" "):
        choices.insert(1, ("r", "replace", "Put a space for each"))

    def answered(answer: str | None) -> None:
        if answer not in ("drop", "replace"):
            back()
            return
        instead = " " if answer == "replace" else ""
        take("".join(instead if c in strange else c for c in text))

    question = f"The models do not know {summarize(sorted(strange), 8)}."
    app.push_screen(Ask(question, choices, title="Unknown characters", plain=plain), answered)


def tree_entries(tree: Tree, *, ascii: bool = False) -> list[tuple[str, str]]:
    """The tree as a list: indented, named, with its first words."""

    def line(words: str) -> str:
        return printable(words.replace("\n", "$") if ascii else words)

    entries = []
    for depth, text in tree.walk():
        corner = ("` " if ascii else "└ ") if depth else ""
        opened = text.opened
        model = f"{NAMES.get(opened.variant, opened.variant)} {opened.step:,}" if opened else "?"
        begin = line(text.prompt + text.text)
        if depth:
            begin = f"at {text.at + 1}: {line(''.join(t.text for t in text.tokens[text.at :]))}"
        name = f"[{printable(text.name)}] " if text.name else ""
        surprisal = f"{text.mean_surprisal:.2f}" if text.tokens else "-"
        label = f"{'  ' * max(depth - 1, 0)}{corner}{text.id} {model} {surprisal} {name}{begin}"
        entries.append((str(text.id), label[:96]))
    return entries
