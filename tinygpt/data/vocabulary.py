"""The tokenizer of a new run: trained on its text, or read from a file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from tinygpt.config import TRAINED_TOKENIZERS
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import FILE, load_tokenizer
from tinygpt.errors import ConfigError, TokenizerError
from tinygpt.files.paths import user_path

SAMPLE = 32 << 20
"""Characters of the training split that a vocabulary is trained on: all of a smaller one, else
`BLOCKS` parts of it, evenly spaced."""
BLOCKS = 64
CHARACTERS_PER_TOKEN = 1000
"""Of the training split, for each token of the default vocabulary: 1,024 for tinyshakespeare."""
FEWEST, MOST = 512, 32_768
"""Tokens of the smallest and the largest default vocabulary."""


def make_tokenizer(
    kind: str, text: str, train_characters: int, vocab_size: int | None = None
) -> Tokenizer:
    """The tokenizer that ``--tokenizer`` asks for.

    Args:
        kind: char, bpe, wordpiece, or the path of a tokenizer.json or of a run.
        text: the whole corpus. Characters are those of all of it: a run could not be evaluated on
            others. A vocabulary of subwords is trained on the training split alone.
        train_characters: how much of it, from the start, is the training split.
        vocab_size: tokens of a vocabulary that is trained; by default `default_vocab_size`.

    Raises:
        ConfigError: the file cannot be used.
        TokenizerError: the vocabulary is too small, which `RunConfig` refuses before.
    """
    if kind == "char":
        return CharTokenizer.train(text)
    if kind in TRAINED_TOKENIZERS:
        from tinygpt.data import subword  # noqa: PLC0415 - 20 ms to import

        trained = subword.BPETokenizer if kind == "bpe" else subword.WordPieceTokenizer
        size = vocab_size or default_vocab_size(train_characters)
        return trained.train(_sample(text, train_characters), size)
    path = user_path(kind)
    try:
        return load_tokenizer(Path(path, FILE) if os.path.isdir(path) else path)
    except TokenizerError as error:
        raise ConfigError(f"--tokenizer: {error}") from error


def default_vocab_size(train_characters: int) -> int:
    """Tokens of the vocabulary of a training split: a power of two."""
    wanted = max(train_characters, 1) / CHARACTERS_PER_TOKEN
    return int(min(MOST, max(FEWEST, 2 ** round(math.log2(wanted)))))


def _sample(text: str, train_characters: int) -> Iterator[str]:
    if train_characters <= SAMPLE:
        yield text[:train_characters]
        return
    size = SAMPLE // BLOCKS
    for block in range(BLOCKS):
        start = block * (train_characters - size) // (BLOCKS - 1)
        yield text[start : start + size]
