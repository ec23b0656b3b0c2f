"""The tokenizer of a new run: trained on its text, or read from a file."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tinygpt.config import TOKENIZERS, TRAINED_TOKENIZERS, Shares
from tinygpt.data.characters import CharTokenizer, describe
from tinygpt.data.corpus import SMALL, Corpus, cache_folder
from tinygpt.data.splits import split_sizes
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import FILE, load_tokenizer, save_tokenizer
from tinygpt.errors import ConfigError, TokenizerError
from tinygpt.files.paths import user_path

SAMPLE = 32 << 20
"""Characters of the training split that a vocabulary is trained on: all of a smaller one, else
`BLOCKS` parts of it, evenly spaced."""
BLOCKS = 64
CHARACTERS_PER_TOKEN = 1000
"""Of the training split, for each token of the default vocabulary: 1,024 for tinyshakespeare."""
_FORMAT = 1
"""Of the kept tokenizers: to be raised when training gives others."""
FEWEST, MOST = 512, 32_768
"""Tokens of the smallest and the largest default vocabulary."""


def make_tokenizer(
    kind: str,
    corpora: Sequence[Corpus],
    shares: Shares,
    vocab_size: int | None = None,
    init_from: str | None = None,
) -> Tokenizer:
    """The tokenizer that ``--tokenizer`` asks for.

    Where a corpus has several documents, it has a token that ends them.

    Args:
        kind: char, bpe, wordpiece, or the path of a tokenizer.json or of a run.
        corpora: the text to train on, and that for validation if it is another. Characters are
            those of all of it: a run could not be evaluated on others. A vocabulary of subwords is
            trained on the training split alone.
        shares: of the first text, not to train on.
        vocab_size: tokens of a vocabulary that is trained; by default `default_vocab_size`.
        init_from: the run that the tokenizer is of, if its weights are to be trained on.

    Raises:
        ConfigError: the file cannot be used, or lacks a character.
        TokenizerError: the vocabulary is too small, which `RunConfig` refuses before.
    """
    several = has_documents(corpora)
    alphabet = set().union(*(corpus.facts.alphabet for corpus in corpora))
    if kind == "char":
        tokenizer: Tokenizer = CharTokenizer(sorted(alphabet))
    elif kind in TRAINED_TOKENIZERS:
        tokenizer = _subwords(kind, corpora[0], shares, vocab_size, several=several)
    else:
        tokenizer = _read(kind)
        _check_known(kind, tokenizer, alphabet, init_from)
    return tokenizer.with_end_of_text() if several else tokenizer


def _subwords(
    kind: str, corpus: Corpus, shares: Shares, vocab_size: int | None, *, several: bool
) -> Tokenizer:
    """A tokenizer that is trained on the training split; that of a large text is kept in the cache,
    as training it takes seconds."""
    from tinygpt.data import subword  # noqa: PLC0415 - 20 ms to import

    trained = subword.BPETokenizer if kind == "bpe" else subword.WordPieceTokenizer
    characters, _, _ = split_sizes(corpus.characters, shares)
    size = max((vocab_size or default_vocab_size(characters)) - several, trained.SMALLEST)
    if corpus.facts.size <= SMALL:
        return trained.train(_sample(corpus, characters), size)
    key = json.dumps([_FORMAT, corpus.sha256, characters, kind, size])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    path = cache_folder() / "tokenizers" / f"{name}.json"
    with suppress(TokenizerError):
        return load_tokenizer(path)
    tokenizer = trained.train(_sample(corpus, characters), size)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tokenizer(tokenizer, path)
    return tokenizer


def named_tokenizer(kind: str) -> Tokenizer | None:
    """The tokenizer that ``--tokenizer`` names; None if it is to be trained. Raises ConfigError."""
    return None if kind in TOKENIZERS else _read(kind)


def _read(kind: str) -> Tokenizer:
    """The tokenizer in a file or run."""
    path = user_path(kind)
    try:
        return load_tokenizer(Path(path, FILE) if os.path.isdir(path) else path)
    except TokenizerError as error:
        raise ConfigError(f"--tokenizer: {error}") from error


def _check_known(kind: str, found: Tokenizer, alphabet: set[str], init_from: str | None) -> None:
    """Raises ConfigError for a tokenizer of characters that lacks some of a text."""
    if isinstance(found, CharTokenizer) and (lacking := alphabet.difference(found.characters)):
        count = f"{len(lacking)} characters" if len(lacking) > 1 else "a character"
        if init_from is not None:
            raise ConfigError(
                f"--init-from {init_from} does not know {count} of the corpus, "
                f"{describe(min(lacking))}: take them out of the text, or train a new run"
            )
        raise ConfigError(
            f"--tokenizer {kind} does not know {count} of the corpus, {describe(min(lacking))}: "
            "take bpe, which knows every text"
        )


def has_documents(corpora: Sequence[Corpus]) -> bool:
    """Whether a text has several documents: these are then kept apart by a token."""
    return any(corpus.facts.documents > 1 for corpus in corpora)


def default_vocab_size(train_characters: int) -> int:
    """Tokens of the vocabulary of a training split: a power of two."""
    wanted = max(train_characters, 1) / CHARACTERS_PER_TOKEN
    return int(min(MOST, max(FEWEST, 2 ** round(math.log2(wanted)))))


def _sample(corpus: Corpus, train_characters: int) -> Iterator[str]:
    """The training split, or parts of it: each document by itself."""
    size, wanted = SAMPLE // BLOCKS, [(0, train_characters)]
    if train_characters > SAMPLE:
        starts = [n * (train_characters - size) // (BLOCKS - 1) for n in range(BLOCKS)]
        wanted = [(start, start + size) for start in starts]
    place, number, text = 0, 0, ""
    for chunk in corpus.chunks():
        start = place
        place += len(chunk.text)
        while number < len(wanted) and wanted[number][1] <= place:  # the chunk has its end
            first, last = wanted[number]
            yield text + chunk.text[max(first - start, 0) : last - start]
            text, number = "", number + 1
        if number == len(wanted):
            return
        text += chunk.text[max(wanted[number][0] - start, 0) :]
        if chunk.ends:
            yield text
            text = ""
