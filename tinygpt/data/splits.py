"""The parts of a corpus: to train on, for validation, and if wanted for a test at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tinygpt.config import Shares
from tinygpt.data.documents import Chunk
from tinygpt.errors import CorpusError

WITHOUT_TEST = Shares()
"""A tenth of the text for validation, the rest to train on."""

T = TypeVar("T", bound="Sliced")


class Sliced(Protocol):
    """A text, or an array of its token ids."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Any: ...


def split_sizes(size: int, shares: Shares = WITHOUT_TEST) -> tuple[int, int, int]:
    """How many of `size` characters or tokens are for training, from the start, for validation, and
    at the end for a test of the trained models."""
    test = int(shares.test * size)
    train = int((1 - shares.validation) * size) - test
    return train, size - train - test, test


def split(text: T, shares: Shares = WITHOUT_TEST) -> tuple[T, T, T]:
    """Training, validation and test split of a text or its ids, in this order."""
    ends = itertools.accumulate(split_sizes(len(text), shares), initial=0)
    train, validation, test = (text[start:end] for start, end in itertools.pairwise(ends))
    return train, validation, test


class Part(NamedTuple):
    """A chunk of a text, in one of its splits."""

    split: int
    """0 for training, 1 for validation, 2 for a test."""
    chunk: Chunk


def split_chunks(
    chunks: Iterable[Chunk], characters: int, shares: Shares = WITHOUT_TEST
) -> Iterator[Part]:
    """The chunks of a text of so many characters, cut where its splits begin, which may be within a
    document. What is beyond so many characters is left out."""
    ends = [*itertools.accumulate(split_sizes(characters, shares))]
    split, place = 0, 0
    for text, is_end in chunks:
        start = 0
        while start < len(text):
            while split < len(ends) and place >= ends[split]:
                split += 1
            if split == len(ends):
                break
            size = min(len(text) - start, ends[split] - place)
            start, place = start + size, place + size
            whole = start == len(text)
            yield Part(split, Chunk(text[start - size : start], is_end and whole))


def check_tokens(sizes: Sequence[int], context: int, *, test: bool = False) -> None:
    """`check_length` by the tokens of each split, which may be longer than a character.

    Raises:
        CorpusError: a split is shorter than a window; says which context would suffice.
    """
    size, name = _smallest(sizes, Shares(test=float(test)))
    if size > context:
        return
    remedy = "use a longer text" + (f" or --gpt.context {size - 1}" if size > 2 else "")
    msg = (
        f"the {name} split has {size:,} tokens, but a window of --gpt.context {context} needs "
        f"{context + 1:,}: {remedy}"
    )
    raise CorpusError(msg)


def check_length(characters: int, context: int, shares: Shares = WITHOUT_TEST) -> None:
    """Check that each split of a text holds a window: `context` characters, and one more to
    predict.

    Raises:
        CorpusError: a split is shorter; says which length or context would suffice.
    """
    window = context + 1
    size, name = _smallest(split_sizes(characters, shares), shares)
    if size >= window:
        return
    remedies = [f"use a text of at least {_shortest(window, shares):,} characters"]
    if size > 2:
        remedies.append(f"--gpt.context {size - 1}")
    if name == "test":
        remedies.append("a larger --test-share, or 0 for no test")
    msg = (
        f"the corpus has {characters:,} characters, which leaves {size:,} for the {name} split, "
        f"but a window of --gpt.context {context} needs {window:,}: {' or '.join(remedies)}"
    )
    raise CorpusError(msg)


def _smallest(sizes: Sequence[int], shares: Shares) -> tuple[int, str]:
    """The size and the name of the smallest split that the text has."""
    needed = (True, shares.validation > 0, shares.test > 0)
    named = zip(sizes, ("training", "validation", "test"), strict=True)
    return min(found for found, is_needed in zip(named, needed, strict=True) if is_needed)


def _shortest(window: int, shares: Shares) -> int:
    """The shortest text whose splits all hold a window."""
    share = min(1 - sum(shares), shares.validation or 1, shares.test or 1)
    least = max(1, math.floor((window - 2) / share))  # rounding moves a split by up to 2
    sizes = (_smallest(split_sizes(n, shares), shares)[0] for n in itertools.count(least))
    return next(n for n, size in enumerate(sizes, least) if size >= window)
