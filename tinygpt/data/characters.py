"""The character tokenizer, and characters in words."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from tinygpt.data.tokenizer import END_OF_TEXT, Ids, Kind, check_id
from tinygpt.errors import TokenizerError

_CHUNK = 1 << 20
"""Characters encoded at a time, so that encoding a gigabyte takes little memory beyond its ids."""


class CharTokenizer:
    """One id per character; the vocabulary is sorted by code point."""

    def __init__(self, characters: Sequence[str], *, end_of_text: bool = False) -> None:
        """`characters` are the vocabulary, to which `end_of_text` adds the token of that name.

        Raises TokenizerError unless they are single, distinct, sorted and not empty.
        """
        if not characters:
            raise TokenizerError("the vocabulary is empty: it needs at least one character")
        if any(not isinstance(c, str) or len(c) != 1 for c in characters):
            raise TokenizerError("the vocabulary has an entry that is not a single character")
        if any("\ud800" <= c <= "\udfff" for c in characters):
            raise TokenizerError("the vocabulary has a lone surrogate, which is not a character")
        if list(characters) != sorted(set(characters)):
            raise TokenizerError("the vocabulary is not sorted, or has duplicates")
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(characters)}
        self._texts = [*characters, ""] if end_of_text else [*characters]
        self._end = len(characters) if end_of_text else None

    @classmethod
    def train(cls, text: str) -> Self:
        """The tokenizer of a text: its distinct characters."""
        return cls(sorted(set(text)))

    @property
    def kind(self) -> Kind:
        """Always "char"."""
        return "char"

    @property
    def vocab_size(self) -> int:
        """Number of distinct ids: of characters, and of the end of a text if there is one."""
        return len(self._texts)

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document: the last one, if it was asked for."""
        return self._end

    def with_end_of_text(self) -> CharTokenizer:
        """This tokenizer, with a token that ends a document."""
        return CharTokenizer(self.characters, end_of_text=True)

    def encode(self, text: str) -> list[int]:
        """One id per character. Raises TokenizerError, which names the first unknown one."""
        ids = self._ids
        try:
            return [ids[character] for character in text]
        except KeyError:
            raise TokenizerError(self._unknown(text)) from None

    def encode_array(self, text: str) -> Ids:
        """`encode` as an array (N,): uint8 up to 256 ids, else int32. Raises TokenizerError."""
        table, largest = self._table, len(self._table) - 1
        ids: Ids = np.empty(len(text), np.uint8 if self.vocab_size <= 256 else np.int32)
        for start in range(0, len(text), _CHUNK):
            chunk = text[start : start + _CHUNK]
            points = np.frombuffer(chunk.encode("utf-32-le", "surrogatepass"), np.uint32)
            chunk_ids = table[np.minimum(points, largest)]
            chunk_ids[points > largest] = -1
            if (chunk_ids < 0).any():
                raise TokenizerError(self._unknown(text))
            ids[start : start + _CHUNK] = chunk_ids
        return ids

    @cached_property
    def _table(self) -> npt.NDArray[np.int32]:
        """The id of each code point, -1 for one outside the vocabulary."""
        points = [ord(character) for character in self.characters]
        table = np.full(points[-1] + 1, -1, np.int32)
        table[points] = range(len(points))
        return table

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """`encode_array` of each text."""
        return [self.encode_array(text) for text in texts]

    def cut(self, text: str, start: int) -> int | None:
        """A text can be cut at any place before its end."""
        return start if start < len(text) else None

    def decode(self, ids: Iterable[int]) -> str:
        """One character per id, none for the end of a text.

        Raises TokenizerError for an id outside the vocabulary.
        """
        texts = self._texts
        try:
            return "".join([texts[check_id(i, len(texts))] for i in ids])
        except TypeError as error:
            raise TokenizerError(f"ids must be integers: {error}") from error

    def token_bytes(self, index: int) -> bytes:
        """The UTF-8 bytes of a character, none of the end of a text.

        Raises TokenizerError for an id outside the vocabulary.
        """
        return self._texts[check_id(index, len(self._texts))].encode()

    def token_text(self, index: int) -> str:
        """The character, or `END_OF_TEXT`. Raises TokenizerError for an id outside the
        vocabulary."""
        return self._texts[check_id(index, len(self._texts))] or END_OF_TEXT

    def to_json(self) -> str:
        """`{"kind": "char", "characters": [...]}` in ASCII, and `"end_of_text": true` with one."""
        content: dict[str, object] = {"kind": "char", "characters": list(self.characters)}
        if self._end is not None:
            content["end_of_text"] = True
        return json.dumps(content, indent=1) + "\n"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharTokenizer) and other._texts == self._texts

    def __hash__(self) -> int:
        return hash(tuple(self._texts))

    def _unknown(self, text: str) -> str:
        position = next(i for i, character in enumerate(text) if character not in self._ids)
        line = text.count("\n", 0, position) + 1
        where = f"position {position}" + (f" (line {line})" if line > 1 else "")
        return (
            f"the model does not know {describe(text[position])} at {where} of the "
            f"text; it knows {summarize(self.characters)}"
        )


def describe(character: str) -> str:
    """A character, safe to print, with its code point and name: 'é' (U+00E9, …)."""
    name = unicodedata.name(character, "control character")
    return f"{ascii_safe(character)} (U+{ord(character):04X}, {name.lower()})"


def summarize(characters: Sequence[str], limit: int = 30) -> str:
    """A vocabulary in one line, with neighbouring code points as ranges: ' ', 'a' to 'z'."""
    runs: list[list[str]] = []
    for character in characters:
        if runs and ord(character) == ord(runs[-1][-1]) + 1:
            runs[-1].append(character)
        else:
            runs.append([character])
    names = []
    for run in runs:
        shown = [ascii_safe(c) for c in run]
        names += shown if len(run) < 4 else [f"{shown[0]} to {shown[-1]}"]
    kept = names[:limit]
    return ", ".join(kept) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def ascii_safe(character: str) -> str:
    """A character in quotes, escaped if it is not printable."""
    return repr(character) if character.isprintable() else ascii(character)
