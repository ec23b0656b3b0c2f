"""A text as lines of a column, and where each token stands in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len

from tinygpt.escape import printable


class Cell(NamedTuple):
    """A character as it is shown."""

    text: str
    token: int
    """Its token's place; -1 for the prompt."""
    width: int
    space: bool = False
    """The line may be broken behind it."""


class Flow:
    """Wraps a text that only grows. A line that is full breaks behind its last space."""

    def __init__(self, width: int, *, marks: bool = False) -> None:
        """`marks` makes spaces and new lines visible."""
        self.width = max(width, 2)
        self._marks = marks
        self.cells: list[Cell] = []
        self._starts = [0]
        self._first: list[int] = []
        """The first cell of each token."""

    def add(self, text: str, token: int) -> None:
        """Append a token's text; -1 for the prompt."""
        if token >= 0:
            self._first.append(len(self.cells))
        for character in text:
            self._append(character, token)

    def extend(self, texts: Iterable[str]) -> None:
        """Append the texts of the next tokens."""
        for text in texts:
            self.add(text, len(self._first))

    def _append(self, character: str, token: int) -> None:
        shown = self._shown(character)
        cell = Cell(shown, token, cell_len(shown), space=character == " ")
        self.cells.append(cell)
        if character == "\n":
            self._starts.append(len(self.cells))
            return
        # What a break behind a space leaves is too long again where the last character is wide.
        while not cell.space and self._too_long():
            self._starts.append(self._break())

    def _too_long(self) -> bool:
        line = self.cells[self._starts[-1] :]
        return len(line) > 1 and sum(c.width for c in line) > self.width

    def _break(self) -> int:
        """Where the line that has become too long is broken: behind its last space, if any."""
        start, last = self._starts[-1], len(self.cells) - 1
        spaces = (place for place in range(last, start, -1) if self.cells[place - 1].space)
        return next(spaces, last)

    def _shown(self, character: str) -> str:
        if character == "\n":
            return "⏎" if self._marks else " "
        if character == " ":
            return "∙" if self._marks else " "
        return printable(character)

    @property
    def tokens(self) -> int:
        """How many were added."""
        return len(self._first)

    @property
    def height(self) -> int:
        """Lines so far; the last may be empty."""
        return len(self._starts)

    def line(self, number: int) -> list[Cell]:
        """The cells of a line, without spaces that hang over its end."""
        end = self._starts[number + 1] if number + 1 < self.height else len(self.cells)
        kept, column = [], 0
        for cell in self.cells[self._starts[number] : end]:
            column += cell.width
            if column > self.width:
                break
            kept.append(cell)
        return kept

    def place(self, token: int) -> tuple[int, int]:
        """Line and column of a token's first character."""
        if not 0 <= token < len(self._first):
            return self.height - 1, 0
        cell = self._first[token]
        number = min(bisect_right(self._starts, cell) - 1, self.height - 1)
        return number, sum(c.width for c in self.cells[self._starts[number] : cell])

    def token_at(self, line: int, column: int) -> int | None:
        """The token that stands at a place, or the nearest before it in the line."""
        if not 0 <= line < self.height:
            return None
        found, reached = None, 0
        end = self._starts[line + 1] if line + 1 < self.height else len(self.cells)
        for cell in self.cells[self._starts[line] : end]:
            if cell.token >= 0 and (found is None or reached <= column):
                found = cell.token
            reached += cell.width
        return found
