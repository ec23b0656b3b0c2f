"""A corpus as token ids: its splits, in memory or, if it is large, in files of the token cache."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tinygpt.config import Shares
from tinygpt.data.corpus import SMALL, Corpus
from tinygpt.data.scan import Report, silent
from tinygpt.data.splits import WITHOUT_TEST, Part, split, split_chunks
from tinygpt.data.tokenizer import PIECE, Ids, Tokenizer, piece_end
from tinygpt.data.vocabulary import has_documents

BATCH = 64 * PIECE
"""Characters that are encoded at a time: enough to keep all cores busy."""


class Encoded(NamedTuple):
    """The splits of a text as token ids, (N,) each."""

    tokenizer: Tokenizer
    train: Ids
    validation: Ids
    test: Ids
    release: Callable[[], None] = lambda: None
    """Gives memory back that reading the ids has taken; it is taken again when they are read."""

    @property
    def splits(self) -> tuple[Ids, Ids, Ids]:
        """For training, validation and test."""
        return self.train, self.validation, self.test


class Batch(NamedTuple):
    """Consecutive tokens of a text."""

    ids: list[tuple[int, Ids]]
    """With the split that they are in."""
    characters: int


class _Piece(NamedTuple):
    split: int
    text: str
    ends: bool
    """Whether a document ends after it."""


def encode(
    tokenizer: Tokenizer,
    corpora: Sequence[Corpus],
    shares: Shares = WITHOUT_TEST,
    report: Report = silent,
) -> Encoded:
    """The splits of a text as tokens.

    The text is split, not its tokens: so the validation text is the same with every tokenizer.

    Args:
        tokenizer: see `make_tokenizer`.
        corpora: the text to train on, and that for validation if it is another.
        shares: of the first text, not to train on.
        report: called while a large text is encoded for the first time.

    Raises:
        CorpusError: the text has changed since it was found, or the disk is too small for the
            tokens of a large one.
        TokenizerError: the tokenizer lacks a character of it.
    """
    if any(corpus.tokens is not None for corpus in corpora):
        return _given(tokenizer, corpora, shares, report)
    if sum(corpus.facts.size for corpus in corpora) > SMALL:
        from tinygpt.data import token_cache  # noqa: PLC0415 - it imports this module

        return token_cache.find_or_encode(tokenizer, corpora, shares, report)
    parts: tuple[list[Ids], ...] = ([], [], [])
    for batch in batches(tokenizer, corpus_parts(corpora, shares), ends=has_documents(corpora)):
        for number, ids in batch.ids:
            parts[number].append(ids)
    nothing = tokenizer.encode_array("")
    train, validation, test = (np.concatenate([nothing, *found]) for found in parts)
    return Encoded(tokenizer, train, validation, test)


def _given(
    tokenizer: Tokenizer, corpora: Sequence[Corpus], shares: Shares, report: Report
) -> Encoded:
    """The splits of texts of which one at least is given as tokens: it is the tokens that are
    split."""
    whole: list[Ids] = []
    releases = []
    for corpus in corpora:
        if corpus.tokens is not None:
            whole.append(corpus.tokens.ids)
            releases.append(corpus.tokens.release)
        else:
            encoded = encode(tokenizer, [corpus], Shares(0.0), report)
            whole.append(encoded.train)
            releases.append(encoded.release)
    train, validation, test = split(whole[0], shares)

    def release() -> None:
        for each in releases:
            each()

    return Encoded(tokenizer, train, whole[1] if whole[1:] else validation, test, release)


def corpus_parts(corpora: Sequence[Corpus], shares: Shares) -> Iterator[Part]:
    """All of the text, with its splits."""
    text, *others = corpora
    yield from split_chunks(text.chunks(), text.characters, shares)
    for other in others:
        yield from (Part(1, chunk) for chunk in other.chunks())


def batches(
    tokenizer: Tokenizer, parts: Iterable[Part], *, ends: bool, skip: int = 0
) -> Iterator[Batch]:
    """The tokens of a text in its order, all cores at work; with `ends`, documents end in a token.

    The first `skip` batches are left out.
    """
    end = tokenizer.end_of_text if ends else None
    for group in itertools.islice(_groups(_pieces(tokenizer, parts)), skip, None):
        ids = tokenizer.encode_many([piece.text for piece in group])
        if end is not None:
            ids = [
                np.append(found, np.array(end, found.dtype)) if piece.ends else found
                for piece, found in zip(group, ids, strict=True)
            ]
        splits = [piece.split for piece in group]
        characters = sum(len(piece.text) for piece in group)
        yield Batch([*zip(splits, ids, strict=True)], characters)


def _pieces(tokenizer: Tokenizer, parts: Iterable[Part]) -> Iterator[_Piece]:
    """The text of each document and split, cut where its tokens are cut anyway."""
    rest, at = "", 0
    for number, (text, is_end) in parts:
        if number != at and rest:  # in a document
            yield _Piece(at, rest, ends=False)
            rest = ""
        rest, at, start = rest + text, number, 0
        while (end := piece_end(tokenizer, rest, start)) is not None:
            yield _Piece(at, rest[start:end], ends=False)
            start = end
        rest = rest[start:]
        if is_end:
            yield _Piece(at, rest, ends=True)
            rest = ""
    if rest:
        yield _Piece(at, rest, ends=False)


def _groups(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """As many pieces as have `BATCH` characters together."""
    group, characters = [], 0
    for piece in pieces:
        group.append(piece)
        characters += len(piece.text)
        if characters >= BATCH:
            yield group
            group, characters = [], 0
    if group:
        yield group
