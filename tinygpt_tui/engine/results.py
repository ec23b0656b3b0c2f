"""What the engine answered, as arrays. Letters: L layers, T tokens, E experts, V vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygpt.analysis import routing
from tinygpt.analysis.routing import Floats, Ints
from tinygpt_tui.engine.protocol import Example, Looked, Surveyed


@dataclass(frozen=True, eq=False)
class Reading:
    """How one checkpoint routed one window of a text."""

    step: int
    val_loss: float | None
    total: int
    """Tokens of the whole text."""
    start: int
    """Of them, the first of the window."""
    texts: tuple[str, ...]
    """The T tokens of the window."""
    router: Floats
    """(L, T, E) probabilities"""
    choice: Ints
    """(L, T)"""

    @property
    def layers(self) -> int:
        """L."""
        return len(self.choice)

    @property
    def experts(self) -> int:
        """E."""
        return int(self.router.shape[-1])


@dataclass(frozen=True, eq=False)
class Census:
    """Who read what in a sample of the validation split, by one checkpoint."""

    step: int
    tokens: int
    """N, that were read."""
    corpus: str
    vocabulary: tuple[str, ...]
    reads: Ints
    """(L, E, V)"""
    sure: tuple[float, ...]
    """(L,) mean probability of the selected expert"""
    agreement: tuple[float, ...]
    """(L,) share of tokens routed as the final checkpoint does; empty without one"""
    examples: dict[tuple[int, int, int], tuple[Example, ...]]
    """By layer, expert and token: where it was read."""

    @property
    def layers(self) -> int:
        """L."""
        return len(self.reads)

    @property
    def experts(self) -> int:
        """E."""
        return int(self.reads.shape[1])

    def by_class(self) -> tuple[list[str], Ints]:
        """The classes that occur, and `reads` (L, E, classes)."""
        members = {n: ids for n, ids in routing.classes(self.vocabulary).items() if len(ids)}
        return list(members), routing.by_class(self.reads, members)


def reading(reply: Looked) -> Reading | None:
    """None for Dense: nothing was routed."""
    if not reply.experts:
        return None
    shape = (reply.layers, len(reply.texts), reply.experts)
    return Reading(
        step=reply.step,
        val_loss=reply.val_loss,
        total=reply.total,
        start=reply.start,
        texts=reply.texts,
        router=np.frombuffer(reply.router, np.float32).reshape(shape).astype(np.float64),
        choice=np.frombuffer(reply.choice, np.int32).reshape(shape[:2]).astype(np.int64),
    )


def census(reply: Surveyed) -> Census | None:
    """None for Dense."""
    if not reply.experts:
        return None
    shape = (reply.layers, reply.experts, len(reply.vocabulary))
    return Census(
        step=reply.step,
        tokens=reply.tokens,
        corpus=reply.corpus,
        vocabulary=reply.vocabulary,
        reads=np.frombuffer(reply.reads, np.int64).reshape(shape),
        sure=reply.sure,
        agreement=reply.agreement,
        examples={_place(key): found for key, found in reply.examples.items()},
    )


def _place(key: str) -> tuple[int, int, int]:
    layer, expert, token = map(int, key.split())
    return layer, expert, token
