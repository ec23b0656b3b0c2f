"""A line of text that is being edited: what each key does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class LineEdit:
    """A text and the position of the cursor in it, in characters."""

    text: str = ""
    cursor: int = 0

    @classmethod
    def at_end(cls, text: str) -> Self:
        """This text, with the cursor behind it."""
        return cls(text, len(text))

    def inserted(self, text: str) -> Self:
        """Insert a text at the cursor, without what cannot be printed; of a pasted text, the first
        line."""
        line = text.splitlines()[0] if text else ""
        kept = "".join(character for character in line if character.isprintable())
        return self._replaced(self.cursor, self.cursor, kept)

    def pressed(self, key: str, character: str | None) -> Self | None:
        """The line after a key, as Textual names it; None for a key that edits no line."""
        text, at = self.text, self.cursor
        if key in _MOVES:
            return type(self)(text, min(max(_MOVES[key](at, len(text)), 0), len(text)))
        deleted = {
            "backspace": (max(0, at - 1), at),
            "delete": (at, at + 1),
            "ctrl+w": (_word_begin(text, at), at),
            "ctrl+u": (0, at),
            "ctrl+k": (at, len(text)),
        }
        if key in deleted:
            return self._replaced(*deleted[key])
        if character is not None and character.isprintable():
            return self.inserted(character)
        return None

    def _replaced(self, begin: int, end: int, text: str = "") -> Self:
        return type(self)(self.text[:begin] + text + self.text[end:], begin + len(text))


_MOVES: dict[str, Callable[[int, int], int]] = {
    "left": lambda at, _: at - 1,
    "right": lambda at, _: at + 1,
    "home": lambda *_: 0,
    "ctrl+a": lambda *_: 0,
    "end": lambda _, size: size,
    "ctrl+e": lambda _, size: size,
}


def _word_begin(text: str, at: int) -> int:
    """Where the word before the cursor begins."""
    return text[:at].rstrip().rfind(" ") + 1
