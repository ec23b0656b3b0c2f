"""The sources of the Attention tab's text: a field for typing, the Generate tab, a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinygpt.data.characters import summarize
from tinygpt.files.encoding import wide_encoding
from tinygpt.files.safe_open import open_regular
from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.screens.unknown_characters import resolve_unknown
from tinygpt_tui.widgets.prompt_area import PromptArea

HINT = "Enter inspect  Esc cancel  ctrl+r random corpus line"
MAX_CHARACTERS = 200_000
"""At most this much of a file is inspected."""
MAX_BYTES = 4 * MAX_CHARACTERS
"""A character of UTF-8 takes at most four."""


@dataclass(frozen=True)
class GeneratedText:
    """The text of the Generate tab."""

    text: str
    """Prompt and continuation."""
    at: int | None
    """Index of the character under the cursor, if there is a cursor."""


class TextEntry(PromptArea):
    """The field for typing a text; hidden until it is opened."""

    DEFAULT_CSS = "TextEntry { display: none; height: 3; }"

    def __init__(
        self, controller: AttentionController, draw: Callable[[], None], leave: Callable[[], None]
    ) -> None:
        """`draw` is called when the controller changed, `leave` when the field closed."""
        super().__init__("", controller.unknown, id="text-entry")
        self._controller, self._draw, self._leave = controller, draw, leave

    def open(self) -> None:
        """Show the field with the current text."""
        self.display = True
        self.put(self._controller.text)
        self.focus()
        self._controller.message = HINT

    def _close(self) -> None:
        self.display = False
        self._leave()

    def on_text_area_changed(self) -> None:
        if self.display:
            unknown = self._controller.unknown(self.text)
            words = f"not in the vocabulary: {summarize(sorted(unknown), 8)}"
            self._controller.message = words if unknown else HINT
            self._draw()

    def on_prompt_area_left(self) -> None:
        self._controller.message = ""
        self._close()

    def on_prompt_area_submitted(self) -> None:
        resolve_unknown(self.app, self.text, self._controller.unknown, self._inspect, self.focus)

    def _inspect(self, text: str) -> None:
        if text:
            self._controller.set_text(text, "typed")
            self._close()
        else:
            self.focus()
            self._controller.message = "The text is empty: type at least one character"
            self._draw()

    def on_prompt_area_random_line(self) -> None:
        self._controller.message = ""
        self._close()
        self._controller.random_line()
        self._draw()


def inspect_generated(controller: AttentionController, generated: GeneratedText | None) -> None:
    """Inspect the text of the Generate tab."""
    if generated is None or not generated.text:
        controller.message = "The Generate tab has no text yet: 2, then g"
    else:
        controller.set_text(generated.text, "Generate", generated.at)


def inspect_file(controller: AttentionController, path: Path) -> None:
    """Inspect the text of a file; if it cannot be read, `controller.message` says why."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES)
    except OSError as error:
        controller.message = f"cannot read {path}: {error.strerror}"
        return
    if encoding := wide_encoding(data):
        controller.message = f"{path} is {encoding} text: save it as UTF-8"
    else:
        text = data.decode(errors="replace")[:MAX_CHARACTERS]
        controller.set_text(text.replace("\r\n", "\n").replace("\r", "\n"), path.name)
