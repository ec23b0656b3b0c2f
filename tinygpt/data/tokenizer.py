"""From text to ids and back: one protocol, JSON on disk."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tinygpt.errors import TokenizerError
from tinygpt.files import atomic, safe_open

Ids: TypeAlias = npt.NDArray[np.integer[Any]]

_PIECE = 1 << 20
"""Characters that are encoded at a time: a gigabyte of text takes no more memory than its ids."""


class Tokenizer(Protocol):
    """What every tokenizer can do. Ids run from 0 to ``vocab_size`` - 1."""

    @property
    def vocab_size(self) -> int:
        """Number of distinct ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises TokenizerError for what the vocabulary lacks."""

    def encode_array(self, text: str) -> Ids:
        """`encode`, for a whole corpus: (N,) in as few bytes each as hold the ids."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Raises TokenizerError for an id outside the vocabulary."""

    def to_json(self) -> str:
        """All that is needed to encode and decode, for tokenizer.json."""


class CharTokenizer:
    """One id a character; the vocabulary is sorted by code point."""

    def __init__(self, characters: Sequence[str]) -> None:
        """Raises TokenizerError unless `characters` are single, distinct, sorted, at least one."""
        if not characters:
            raise TokenizerError("the vocabulary is empty: it takes at least one character")
        if any(not isinstance(c, str) or len(c) != 1 for c in characters):
            raise TokenizerError("the vocabulary has an entry that is not a single character")
        if list(characters) != sorted(set(characters)):
            raise TokenizerError("the vocabulary is not sorted, or has a character twice")
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(characters)}

    @classmethod
    def train(cls, text: str) -> Self:
        """The tokenizer of a corpus: its distinct characters."""
        return cls(sorted(set(text)))

    @property
    def vocab_size(self) -> int:
        """Number of distinct characters."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """An id a character. Raises TokenizerError that names an unknown one and its position."""
        ids = self._ids
        try:
            return [ids[character] for character in text]
        except KeyError:
            raise TokenizerError(self._unknown(text)) from None

    def encode_array(self, text: str) -> Ids:
        """The ids of a text (N,) in as few bytes each as hold them. Raises TokenizerError."""
        largest = ord(self.characters[-1])
        table = np.full(largest + 1, -1, np.int32)
        table[[ord(character) for character in self.characters]] = range(self.vocab_size)
        ids: Ids = np.empty(len(text), np.uint8 if self.vocab_size <= 256 else np.int32)
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            points = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), np.uint32)
            found = table[np.minimum(points, largest)]
            found[points > largest] = -1
            if (found < 0).any():
                raise TokenizerError(self._unknown(text))
            ids[start : start + _PIECE] = found
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """A character an id. Raises TokenizerError for an id that is none."""
        characters = self.characters
        try:
            return "".join([characters[check_id(i, len(characters))] for i in ids])
        except TypeError as error:
            raise TokenizerError(f"ids have to be whole numbers: {error}") from error

    def to_json(self) -> str:
        """`{"kind": "char", "characters": [...]}` in ASCII."""
        return json.dumps({"kind": "char", "characters": list(self.characters)}, indent=1) + "\n"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharTokenizer) and other.characters == self.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def _unknown(self, text: str) -> str:
        position = next(i for i, character in enumerate(text) if character not in self._ids)
        return (
            f"the model does not know {describe(text[position])} at position {position} of the "
            f"text; it knows {summarize(self.characters)}"
        )


def check_id(index: int, size: int) -> int:
    """The id itself; TokenizerError unless it lies in 0 to `size` - 1: no negative indexing."""
    if not 0 <= index < size:
        raise TokenizerError(f"id {index} is outside the vocabulary of 0 to {size - 1}")
    return index


def describe(character: str) -> str:
    """A character that is safe to print, with its code point and name: 'é' (U+00E9, …)."""
    name = unicodedata.name(character, "control character")
    return f"{ascii_safe(character)} (U+{ord(character):04X}, {name.lower()})"


def summarize(characters: Sequence[str], limit: int = 100) -> str:
    """A vocabulary in one line, neighbouring code points as a range: newline, space, a-z."""
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
    """A character in quotes, escaped where a terminal would obey it or show nothing."""
    return repr(character) if character.isprintable() else ascii(character)


def load_tokenizer(path: str | Path) -> CharTokenizer:
    """The tokenizer in the file `path`.

    Raises:
        TokenizerError: the file is missing, or not a tokenizer; it names the file.
    """
    try:
        data = json.loads(safe_open.read_text(path))
    except OSError as error:
        raise TokenizerError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TokenizerError(
            f"{path} is not a tokenizer: it is not JSON in UTF-8 ({error})"
        ) from error
    try:
        return _from_data(data)
    except TokenizerError as error:
        raise TokenizerError(f"{path} is not a tokenizer: {error}") from error


def save_tokenizer(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write tokenizer.json, whole or not at all."""
    atomic.write_text(path, tokenizer.to_json())


def _from_data(data: Any) -> CharTokenizer:
    if not isinstance(data, dict) or data.get("kind") != "char":
        kind = data.get("kind") if isinstance(data, dict) else None
        raise TokenizerError(f"its kind is {kind!r}, and this version reads 'char'")
    characters = data.get("characters")
    if not isinstance(characters, list):
        raise TokenizerError("it has no list of characters")
    if any(isinstance(c, str) and "\ud800" <= c <= "\udfff" for c in characters):
        raise TokenizerError("it has half a character, which no text can hold")
    return CharTokenizer(characters)
