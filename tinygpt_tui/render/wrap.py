"""Wraps a growing text into lines, and locates its tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len

from tinygpt.escape import printable


class Cell(NamedTuple):
    """A character on the screen."""

    text: str
    token: int
    """Index of its token; -1 for the prompt."""
    width: int
    """Terminal columns."""
    space: bool = False
    """Whether the line may break after it."""


class Flow:
    """The lines of a text that only grows; a line breaks after its last space, if it has one."""

    def __init__(self, width: int, *, marks: bool = False) -> None:
        """`width` in terminal columns; `marks` makes spaces and new lines visible."""
        self.width = max(width, 2)
        self._marks = marks
        self.cells: list[Cell] = []
        self._starts = [0]
        self._first: list[int] = []
        """Index of each token's first cell."""

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
        # What follows a break at a space can still be too long if the last character is wide.
        while not cell.space and self._too_long():
            self._starts.append(self._break())

    def _too_long(self) -> bool:
        line = self.cells[self._starts[-1] :]
        return len(line) > 1 and sum(c.width for c in line) > self.width

    def _break(self) -> int:
        """The index of the cell that starts the next line: after the last space, if any."""
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
        """Number of tokens, without the prompt."""
        return len(self._first)

    @property
    def height(self) -> int:
        """Number of lines; the last may be empty."""
        return len(self._starts)

    def line(self, number: int) -> list[Cell]:
        """The cells of a line, without trailing spaces beyond its width."""
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
        """The token at a position, or the nearest one before it in the line; None without one."""
        if not 0 <= line < self.height:
            return None
        found, reached = None, 0
        end = self._starts[line + 1] if line + 1 < self.height else len(self.cells)
        for cell in self.cells[self._starts[line] : end]:
            if cell.token >= 0 and (found is None or reached <= column):
                found = cell.token
            reached += cell.width
        return found
