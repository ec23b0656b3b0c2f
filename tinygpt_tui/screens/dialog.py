"""Dialogs in the middle of the screen: the base class and two kinds of question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tinygpt_tui import theme

Result = TypeVar("Result")


class Dialog(ModalScreen[Result | None], Generic[Result]):
    """A titled box over the current screen; Esc closes it with the result None."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 60%;
        .box {
            width: auto; max-width: 96%; height: auto; max-height: 100%;
            padding: 1 2; background: $surface;
            border: round $primary; border-title-color: $text; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        OptionList {
            width: auto; height: auto; padding: 0; border: none; background: $surface;
            &:focus { border: none; background-tint: $surface 0%; }
            & > .option-list--option { padding: 0; }
            & > .option-list--option-highlighted, &:focus > .option-list--option-highlighted {
                background: $primary 35%;
            }
        }
        Input.-textual-compact { padding: 0 1; background: $panel; }
        Input.-textual-compact:focus { background: $primary 35%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back", show=False)]

    def __init__(self, title: str, hints: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._hints = hints

    def box(self, *children: Widget) -> Vertical:
        """A frame around `children`, with the title and the hints for keys."""
        frame = Vertical(*children, classes="box")
        frame.border_title = Content(f" {self._title} ")
        keys = hints(self._hints)
        frame.border_subtitle = keys
        frame.styles.min_width = keys.cell_length + 6  # or the border would cut off the hints
        return frame

    def style(self, name: str) -> str:
        """The rich style of a name in `tinygpt_tui.theme`."""
        return str(theme.style(name, dark=self.app.current_theme.dark))

    def action_leave(self) -> None:
        self.dismiss(None)


def hints(keys: Sequence[tuple[str, str]]) -> Content:
    """One line of (key, action) pairs."""
    parts: list[Content | tuple[str, str] | str] = [" "]
    for key, action in keys:
        parts += [(key, "bold $text-accent"), f" {action}  "]
    return Content.assemble(*parts)


class Ask(Dialog[str]):
    """A question with a few answers, selected with arrow keys and Enter, a letter, or the mouse."""

    DEFAULT_CSS = """
    Ask .question { width: auto; max-width: 68; margin-bottom: 1; }
    """

    def __init__(
        self, question: str, choices: Sequence[tuple[str, str, str]], *, title: str = "Question"
    ) -> None:
        """`choices` are (letter, result, label); the first is highlighted."""
        keys = [("↑↓", "choose"), ("Enter", "select"), ("Esc", "cancel")]
        super().__init__(title, keys)
        self._question = question
        self._choices = choices

    def compose(self) -> ComposeResult:
        accent = self.style("key")
        options = [
            Option(Text.assemble(" ", (key, accent), f"  {label} "), id=value)
            for key, value, label in self._choices
        ]
        question = Static(Text(self._question), classes="question")
        yield self.box(question, OptionList(*options))

    def on_mount(self) -> None:
        answers = self.query_one(OptionList)
        answers.highlighted = 0
        answers.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def on_key(self, event: Key) -> None:
        for key, value, _ in self._choices:
            if key in (event.key, event.character):
                event.stop()
                self.dismiss(value)


class AskText(Dialog[str]):
    """A question answered with a line of text, which is checked as it is typed."""

    DEFAULT_CSS = """
    AskText {
        .box { width: 64; }
        .question, .problem { width: 1fr; height: auto; }
        Input { margin: 1 0; }
        .problem { color: $text-error; min-height: 1; }
    }
    """

    def __init__(
        self,
        question: str,
        value: str,
        check: Callable[[str], str | None],
        *,
        title: str = "Question",
        keep: bool = False,
    ) -> None:
        """`check` returns what is wrong with an answer, None if it is valid.

        `value` is the initial text; with `keep` it is a valid answer, otherwise Enter cancels while
        it is unchanged.
        """
        super().__init__(title, [("Enter", "select"), ("Esc", "cancel")])
        self._question, self._value, self._check = question, value, check
        self._keep = keep

    def compose(self) -> ComposeResult:
        yield self.box(
            Static(Text(self._question), classes="question"),
            Input(self._value, compact=True, select_on_focus=False),
            Static("", classes="problem"),
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        same = event.value == self._value and not self._keep
        problem = None if same else self._check(event.value)
        self.query_one(".problem", Static).update(Text(problem or ""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value == self._value and not self._keep:
            self.dismiss(None)
        elif self._check(event.value) is None:
            self.dismiss(event.value)
