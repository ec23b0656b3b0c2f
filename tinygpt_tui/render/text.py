"""Sentences wrapped to a width, and single tokens as names, quotes or one cell."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from tinygpt.data.tokenizer import END_OF_TEXT
from tinygpt.escape import printable
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.wrap import Flow


def sentence(words: str, columns: int, style: str) -> list[Row]:
    """A sentence, wrapped to `columns`."""
    flow = Flow(columns - 2)
    flow.add(printable(words), -1)
    lines = ["".join(cell.text for cell in flow.line(n)) for n in range(flow.height)]
    return [fit(row(" ", Span(line, style)), columns) for line in lines]


_NAMES = {"\n": "\\n", " ": "' '", "\t": "\\t"}
_END_MARK = "␃"
_MARKS = {" ": "∙", "\n": "⏎", END_OF_TEXT: _END_MARK}
_BYTE = re.compile("<0x([0-9A-F]{2})>")
"""A byte that is no whole character, as a tokenizer shows it."""


def named(text: str) -> str:
    """A token with readable whitespace."""
    return _NAMES.get(text) or visible(text)


def visible(text: str) -> str:
    """A token with every character visible: a space as ∙, a line break as ⏎."""
    return printable(text).replace(" ", "∙")


@lru_cache(maxsize=4096)
def label(text: str, columns: int) -> str:
    """As much of a token as `columns` hold: all of it, its beginning and "…", or its mark. Where
    bytes do not fit as <0xE2>, they are hexadecimal numbers alone."""
    if len(text) == 1 or columns < 3:
        return mark(text, min(max(columns, 1), 2))
    whole = visible(text)
    if cell_len(whole) > columns:
        whole = _END_MARK if text == END_OF_TEXT else _BYTE.sub(r"\1", whole)
    if cell_len(whole) <= columns:
        return whole
    return set_cell_size(whole, columns - 1).rstrip() + "…"


@lru_cache(maxsize=1024)
def mark(text: str, columns: int = 1) -> str:
    """The first character of a token, or the number of its first byte, at most `columns` (1 or 2)
    wide; one that needs more room, or has no width of its own, becomes a box."""
    if text in _MARKS:
        return _MARKS[text]
    first = text.strip() or text
    if byte := _BYTE.match(first):
        return byte[1] if columns > 1 else "□"
    first = printable(first)[:1]
    return first if 1 <= cell_len(first) <= columns else "□"


def named_within(text: str, columns: int) -> str:
    """A character by its name, of a longer token as much as `columns` hold."""
    return named(text) if len(text) == 1 else label(text, columns)


def whole_mark(text: str) -> str:
    """A token within a text: a character as its mark, more of them in full."""
    return mark(text, 2) if len(text) == 1 else visible(text)


def quoted(text: str) -> str:
    """A token as shown within a sentence."""
    known = _NAMES.get(text)
    return known or (mark(text, 2) if len(text) <= 1 else visible(text))
