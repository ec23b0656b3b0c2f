"""The parts of a corpus: to train on, for validation, and if wanted for a test at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tinygpt.config import Shares
from tinygpt.data.tokenizer import Ids, Tokenizer
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
    train, validation, test = _slices(len(text), shares)
    return text[train], text[validation], text[test]


def _slices(size: int, shares: Shares) -> list[slice]:
    ends = itertools.accumulate(split_sizes(size, shares), initial=0)
    return [slice(start, end) for start, end in itertools.pairwise(ends)]


class Encoded(NamedTuple):
    """The splits of a text as token ids, (N,) each."""

    tokenizer: Tokenizer
    train: Ids
    validation: Ids
    test: Ids

    @property
    def splits(self) -> tuple[Ids, Ids, Ids]:
        """For training, validation and test."""
        return self.train, self.validation, self.test


def encode(tokenizer: Tokenizer, text: str, shares: Shares = WITHOUT_TEST) -> Encoded:
    """The splits of a text as tokens. The text is split, not its tokens: so the validation text is
    the same with every tokenizer."""
    parts = _slices(len(text), shares)  # one at a time: together they are a second whole text
    return Encoded(tokenizer, *(tokenizer.encode_array(text[part]) for part in parts))


def check_tokens(encoded: Encoded, context: int, shares: Shares = WITHOUT_TEST) -> None:
    """`check_length`, where tokens are longer than a character.

    Raises:
        CorpusError: a split is shorter than a window; says which context would suffice.
    """
    size, name = _smallest([len(part) for part in encoded.splits], shares)
    if size > context:
        return
    remedy = "use a longer text" + (f" or --gpt.context {size - 1}" if size > 2 else "")
    msg = (
        f"the {name} split has {size:,} tokens, but a window of --gpt.context {context} needs "
        f"{context + 1:,}: {remedy}"
    )
    raise CorpusError(msg)


def check_length(text: str, context: int, shares: Shares = WITHOUT_TEST) -> None:
    """Check that each split holds a window: `context` characters, and one more to predict.

    Raises:
        CorpusError: a split is shorter; says which length or context would suffice.
    """
    window = context + 1
    size, name = _smallest(split_sizes(len(text), shares), shares)
    if size >= window:
        return
    remedies = [f"use a text of at least {_shortest(window, shares):,} characters"]
    if size > 2:
        remedies.append(f"--gpt.context {size - 1}")
    if name == "test":
        remedies.append("a larger --test-share, or 0 for no test")
    msg = (
        f"the corpus has {len(text):,} characters, which leaves {size:,} for the {name} split, "
        f"but a window of --gpt.context {context} needs {window:,}: {' or '.join(remedies)}"
    )
    raise CorpusError(msg)


def _smallest(sizes: Sequence[int], shares: Shares) -> tuple[int, str]:
    """The size and the name of the smallest split that a run needs: a test only if it has one."""
    needed = 3 if shares.test else 2
    return min(zip(sizes[:needed], ("training", "validation", "test"), strict=False))


def _shortest(window: int, shares: Shares) -> int:
    """The shortest text whose splits all hold a window."""
    share = min(1 - sum(shares), shares.validation, shares.test or 1)
    least = max(1, math.floor((window - 2) / share))  # rounding moves a split by up to 2
    sizes = (_smallest(split_sizes(n, shares), shares)[0] for n in itertools.count(least))
    return next(n for n, size in enumerate(sizes, least) if size >= window)
