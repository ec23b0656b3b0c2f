"""The character tokenizer, and characters in words."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from tinygpt.data.tokenizer import Ids, Kind, check_id
from tinygpt.errors import TokenizerError

_CHUNK = 1 << 20
"""Characters encoded at a time, so that encoding a gigabyte takes little memory beyond its ids."""


class CharTokenizer:
    """One id per character; the vocabulary is sorted by code point."""

    def __init__(self, characters: Sequence[str]) -> None:
        """Raises TokenizerError unless `characters` are single, distinct, sorted and not empty."""
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
        """Number of distinct characters."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """One id per character. Raises TokenizerError, which names the first unknown one."""
        ids = self._ids
        try:
            return [ids[character] for character in text]
        except KeyError:
            raise TokenizerError(self._unknown(text)) from None

    def encode_array(self, text: str) -> Ids:
        """`encode` as an array (N,): uint8 up to 256 ids, else int32. Raises TokenizerError."""
        largest = ord(self.characters[-1])
        table = np.full(largest + 1, -1, np.int32)
        table[[ord(character) for character in self.characters]] = range(self.vocab_size)
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

    def decode(self, ids: Iterable[int]) -> str:
        """One character per id. Raises TokenizerError for an id outside the vocabulary."""
        characters = self.characters
        try:
            return "".join([characters[check_id(i, len(characters))] for i in ids])
        except TypeError as error:
            raise TokenizerError(f"ids must be integers: {error}") from error

    def token_bytes(self, index: int) -> bytes:
        """The UTF-8 bytes of a character. Raises TokenizerError for an id outside the
        vocabulary."""
        return self.token_text(index).encode()

    def token_text(self, index: int) -> str:
        """The character. Raises TokenizerError for an id outside the vocabulary."""
        return self.characters[check_id(index, len(self.characters))]

    def to_json(self) -> str:
        """`{"kind": "char", "characters": [...]}` in ASCII."""
        return json.dumps({"kind": "char", "characters": list(self.characters)}, indent=1) + "\n"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharTokenizer) and other.characters == self.characters

    def __hash__(self) -> int:
        return hash(self.characters)

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


def summarize(characters: Sequence[str], limit: int = 100) -> str:
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
