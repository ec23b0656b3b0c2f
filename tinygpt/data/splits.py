"""The parts of a corpus: to train on, for validation, and if wanted for a test at the end."""

from __future__ import annotations

import itertools
import math
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
    train, validation, _ = split_sizes(len(text), shares)
    end = train + validation
    return text[:train], text[train:end], text[end:]


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
    train, validation, _ = split_sizes(len(text), shares)
    ends = (0, train, train + validation, len(text))
    parts = (tokenizer.encode_array(text[a:b]) for a, b in itertools.pairwise(ends))
    return Encoded(tokenizer, *parts)


def check_tokens(encoded: Encoded, context: int, shares: Shares = WITHOUT_TEST) -> None:
    """`check_length`, where tokens are longer than a character.

    Raises:
        CorpusError: a split is shorter than a window; says which context would suffice.
    """
    needed = {"training": encoded.train, "validation": encoded.validation}
    if shares.test:
        needed["test"] = encoded.test
    name = min(needed, key=lambda split: len(needed[split]))
    size = len(needed[name])
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
    size, name = min((size, name) for name, size in _needed(len(text), shares).items())
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


def _needed(size: int, shares: Shares) -> dict[str, int]:
    """The sizes of the splits that a run needs, by name: of a test only if there is one."""
    train, validation, test = split_sizes(size, shares)
    sizes = {"training": train, "validation": validation}
    return {**sizes, "test": test} if shares.test else sizes


def _shortest(window: int, shares: Shares) -> int:
    """The shortest text whose splits all hold a window."""
    share = min(1 - sum(shares), shares.validation, shares.test or 1)
    least = max(1, math.floor((window - 2) / share))  # rounding moves a split by up to 2
    return next(n for n in itertools.count(least) if min(_needed(n, shares).values()) >= window)
