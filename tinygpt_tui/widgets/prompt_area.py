"""The editor of a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tinygpt_tui import theme


class PromptArea(TextArea):
    """Enter submits, ctrl+j inserts a newline; characters outside the vocabulary are marked.

    Up on the first line recalls an earlier prompt, down on the last line a later one.
    """

    DEFAULT_CSS = """
    PromptArea, PromptArea:focus { height: 3; border: none; padding: 0 1; background: $surface; }
    PromptArea:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,alt+enter", "new_line", show=False),
        Binding("ctrl+r", "random_line", show=False),
        Binding("escape", "leave", show=False),
    ]

    class Submitted(Message):
        """Enter was pressed."""

    class Left(Message):
        """Esc was pressed."""

    class Recall(Message):
        """Show the prompt `by` places later in the history (earlier if negative)."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class RandomLine(Message):
        """Replace the prompt by a random line of the corpus."""

    def __init__(self, text: str, unknown: Callable[[str], set[str]], *, id: str) -> None:
        """`unknown` returns the characters of a text that are outside the vocabulary."""
        super().__init__(text, id=id, show_line_numbers=False, highlight_cursor_line=False)
        self._unknown = unknown
        self.move_cursor(self.document.end)

    def get_line(self, line_index: int) -> Text:
        """A line with its unknown characters marked."""
        line = super().get_line(line_index)
        unknown = self._unknown(line.plain)
        if unknown:
            style = theme.style("unknown", dark=self.app.current_theme.dark)
            for place, character in enumerate(line.plain):
                if character in unknown:
                    line.stylize(style, place, place + 1)
        return line

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted())
            return
        line = self.cursor_location[0]
        if (
            event.key in ("up", "down")
            and line == (0, self.document.line_count - 1)[event.key == "down"]
        ):
            event.stop()
            event.prevent_default()
            self.post_message(self.Recall(-1 if event.key == "up" else 1))
            return
        await super()._on_key(event)

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_random_line(self) -> None:
        self.post_message(self.RandomLine())

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def put(self, text: str) -> None:
        """Replace the text and move the cursor to its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
