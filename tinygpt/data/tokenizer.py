"""What every tokenizer can do, and the text of tokens that arrive one at a time."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tinygpt.errors import TokenizerError

Ids: TypeAlias = npt.NDArray[np.integer[Any]]
Kind: TypeAlias = Literal["char", "bpe", "wordpiece"]

END_OF_TEXT = "<|endoftext|>"
"""How the token is shown that ends a document."""
PIECE = 1 << 16
"""Characters that are encoded as one."""
LONGEST_PIECE = 1 << 22


class Tokenizer(Protocol):
    """The interface of a tokenizer. Ids run from 0 to ``vocab_size`` - 1.

    ``decode(encode(text)) == text`` holds for every text that can be encoded.
    """

    @property
    def kind(self) -> Kind:
        """What its tokens are."""

    @property
    def vocab_size(self) -> int:
        """Number of distinct ids."""

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document, which is no text; None for a corpus of one document."""

    def with_end_of_text(self) -> Tokenizer:
        """This tokenizer, with `end_of_text` after all other ids unless it has one."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises TokenizerError for characters outside the vocabulary."""

    def encode_array(self, text: str) -> Ids:
        """`encode` as an array (N,) of a small integer type, for a text that is in memory."""

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """`encode_array` of each text, all cores together."""

    def cut(self, text: str, start: int) -> int | None:
        """The first place from `start` on where a text can be cut such that the tokens of its parts
        are those of the whole; None if there is none."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Raises TokenizerError for an id outside the vocabulary."""

    def token_bytes(self, index: int) -> bytes:
        """The UTF-8 bytes of a token, which may begin or end within a character."""

    def token_text(self, index: int) -> str:
        """A token by itself, to show; bytes that are no whole character as <0xE2>."""

    def to_json(self) -> str:
        """The content of tokenizer.json, from which the tokenizer can be restored."""


def pieces(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    """A text in pieces of about `PIECE` characters, whose tokens are together those of the text."""
    start = 0
    while (end := piece_end(tokenizer, text, start)) is not None:
        yield text[start:end]
        start = end
    yield text[start:]


def piece_end(tokenizer: Tokenizer, text: str, start: int) -> int | None:
    """Where the piece ends that begins at `start`; None if that depends on what follows the text.

    It ends where the text can be cut between two tokens; without such a place in `LONGEST_PIECE`
    characters, there.
    """
    if len(text) - start <= PIECE:
        return None
    end = tokenizer.cut(text, start + PIECE)
    if end is not None and end - start <= LONGEST_PIECE:
        return end
    return start + LONGEST_PIECE if len(text) - start > LONGEST_PIECE else None


class StreamDecoder:
    """The text of tokens one after another: a character whose bytes are in several tokens appears
    with the last of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        """The characters that this token completes. Bytes that can no longer become a character
        appear as U+FFFD."""
        return self._decoder.decode(self._tokenizer.token_bytes(index))


def tokenizer_facts(tokenizer: Tokenizer) -> dict[str, str | int]:
    """Its kind, its size and the sha256 of its file, as records and results have them."""
    sha256 = hashlib.sha256(tokenizer.to_json().encode()).hexdigest()
    return {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size, "sha256": sha256}


def text_lengths(tokenizer: Tokenizer) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(V,) bytes of each token, and (V,) characters that begin in it.

    Sums over the tokens of a text give its bytes and its characters.
    """
    tokens = [tokenizer.token_bytes(index) for index in range(tokenizer.vocab_size)]
    begun = [sum(byte & 0xC0 != 0x80 for byte in token) for token in tokens]
    return np.array([len(token) for token in tokens], np.int64), np.array(begun, np.int64)


def check_id(index: int, size: int) -> int:
    """Returns the id. Raises TokenizerError unless it is 0 to `size` - 1: negative ones too."""
    if not 0 <= index < size:
        raise TokenizerError(f"id {index} is outside the vocabulary of 0 to {size - 1}")
    return index
