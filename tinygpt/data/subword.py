"""Subword tokenizers: byte-level BPE and WordPiece, trained and run by the library `tokenizers`.

A tokenizer.json of theirs is in Hugging Face's format, so that other programs can read it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from tinygpt.config import SMALLEST_BPE, SMALLEST_WORDPIECE
from tinygpt.data import byte_level
from tinygpt.data.byte_level import ALPHABET, CONTINUES, LONGEST_WORD, UNKNOWN
from tinygpt.data.tokenizer import END_OF_TEXT, Ids, Kind, check_id, pieces
from tinygpt.errors import TokenizerError

PIECES = 64
"""Pieces of a text that are encoded at a time: enough to keep all cores busy."""
ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>")
"""Special tokens of a tokenizer.json that end a document, the likeliest first."""


class SubwordTokenizer:
    """Tokens of one byte or more. Every text can be encoded, and comes back as it was.

    What looks like a special token in a text is text.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        """`description` is the content of a tokenizer.json in Hugging Face's format.

        Raises:
            TokenizerError: it cannot be used without losing text, or is damaged.
        """
        self.description = byte_level.checked(description)
        """The content of its tokenizer.json."""
        self._table = byte_level.token_table(self.description)
        self._special = byte_level.special_tokens(self.description)
        ids = {content: index for index, content in self._special.items()}
        self._end = next((ids[content] for content in ENDS if content in ids), None)
        try:
            plain = json.dumps({**self.description, "added_tokens": []})
            self._encoder = tokenizers.Tokenizer.from_str(plain)
        except Exception as error:  # the library raises nothing more specific
            raise TokenizerError(f"it cannot be used: {error}") from error

    @property
    def kind(self) -> Kind:
        """Either "bpe" or "wordpiece"."""
        return "bpe" if self.description["model"]["type"] == "BPE" else "wordpiece"

    @property
    def vocab_size(self) -> int:
        """Number of distinct ids, special tokens included."""
        return len(self._table)

    @property
    def end_of_text(self) -> int | None:
        """The special token that ends a document, if there is one."""
        return self._end

    def with_end_of_text(self) -> Self:
        """This tokenizer, with a token that ends a document after all others, if it has none."""
        if self._end is not None:
            return self
        added = [
            *self.description["added_tokens"],
            byte_level.special(END_OF_TEXT, len(self._table)),
        ]
        return type(self)({**self.description, "added_tokens": added})

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises TokenizerError for a lone surrogate, which is not text."""
        return self._encode([text])[0]

    def encode_array(self, text: str) -> Ids:
        """`encode` as an array (N,) of uint16, or of int32 for more than 65,536 ids; on all cores.

        Raises TokenizerError.
        """
        batches = _batches(pieces(self, text), PIECES)
        return np.concatenate([ids for batch in batches for ids in self.encode_many(batch)])

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """`encode_array` of each text, all cores together. Raises TokenizerError."""
        kind = np.uint16 if self.vocab_size <= 1 << 16 else np.int32
        return [np.array(ids, kind) for ids in self._encode(texts)]

    def cut(self, text: str, start: int) -> int | None:
        """The first place from `start` on where a word ends, by what follows it."""
        return byte_level.cut(self.description, text, start)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, in which bytes that are no character become U+FFFD. Special tokens are
        left out.

        Raises TokenizerError for an id outside the vocabulary.
        """
        table = self._table
        try:
            data = b"".join([table[check_id(index, len(table))] for index in ids])
        except TypeError as error:
            raise TokenizerError(f"ids must be integers: {error}") from error
        return data.decode("utf-8", "replace")

    def token_bytes(self, index: int) -> bytes:
        """The bytes of a token; of a special one none.

        Raises TokenizerError for an id outside the vocabulary.
        """
        return self._table[check_id(index, len(self._table))]

    def token_text(self, index: int) -> str:
        """A token to show: a special one by its name, bytes that are no whole character as <0xE2>.

        Raises TokenizerError for an id outside the vocabulary.
        """
        data = self.token_bytes(index)
        if index in self._special:
            return self._special[index]
        shown = data.decode("utf-8", "surrogateescape")
        return "".join(
            f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in shown
        )

    def to_json(self) -> str:
        """The content of tokenizer.json, in ASCII."""
        return json.dumps(self.description, indent=1) + "\n"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SubwordTokenizer) and other.description == self.description

    def __hash__(self) -> int:
        return hash(tuple(self._table))

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """On all cores, but a single text here: handing it to another thread takes longer."""
        try:
            if len(texts) == 1:
                return [self._encoder.encode(texts[0], add_special_tokens=False).ids]
            found = self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)
        except (UnicodeEncodeError, TypeError) as error:
            raise TokenizerError(
                "the text has a lone surrogate, which is not a character"
            ) from error
        return [encoding.ids for encoding in found]


class BPETokenizer(SubwordTokenizer):
    """Byte-level byte-pair encoding, as GPT-2's (arXiv:1508.07909)."""

    SMALLEST = SMALLEST_BPE
    """Tokens of the smallest vocabulary: each byte."""

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """The tokenizer with at most `vocab_size` tokens that the texts give, one after another.

        Raises TokenizerError for a `vocab_size` below `SMALLEST`.
        """
        _check_size(vocab_size, cls.SMALLEST)
        trained = tokenizers.Tokenizer(models.BPE())
        trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, initial_alphabet=[*ALPHABET.values()], show_progress=False
        )
        trained.train_from_iterator(texts, trainer)
        model = json.loads(trained.to_str())["model"]
        return cls(byte_level.bpe(model["vocab"], model["merges"]))


class WordPieceTokenizer(SubwordTokenizer):
    """WordPiece (arXiv:1609.08144) over bytes: the longest token first, and tokens within a word
    that differ from those at its start."""

    SMALLEST = SMALLEST_WORDPIECE
    """Tokens of the smallest vocabulary: each byte, at the start of a word and within it."""

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """The tokenizer with at most `vocab_size` tokens that the texts give, one after another.

        Raises TokenizerError for a `vocab_size` below `SMALLEST`.
        """
        _check_size(vocab_size, cls.SMALLEST)
        trained = tokenizers.Tokenizer(models.WordPiece({}, unk_token=UNKNOWN))
        trained.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.ByteLevel(add_prefix_space=False),
                pre_tokenizers.FixedLength(LONGEST_WORD),
            ]
        )
        within = [CONTINUES + character for character in ALPHABET.values()]
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            initial_alphabet=[*ALPHABET.values()],
            special_tokens=within,  # the first ids: the order of the text would decide otherwise
            continuing_subword_prefix=CONTINUES,
            show_progress=False,
        )
        trained.train_from_iterator(texts, trainer)
        return cls(byte_level.wordpiece(json.loads(trained.to_str())["model"]["vocab"]))


def from_description(description: Mapping[str, Any]) -> SubwordTokenizer:
    """The tokenizer that the content of a tokenizer.json describes.

    Raises TokenizerError as `SubwordTokenizer`.
    """
    model = description.get("model")
    is_wordpiece = isinstance(model, Mapping) and model.get("type") == "WordPiece"
    return (WordPieceTokenizer if is_wordpiece else BPETokenizer)(description)


def _check_size(vocab_size: int, smallest: int) -> None:
    if vocab_size < smallest:
        raise TokenizerError(
            f"a vocabulary of {vocab_size:,} is too small: this needs at least {smallest}, "
            "as every byte must have a token"
        )


def _batches(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(itertools.islice(texts, size)):
        yield batch
