"""What the engine answered, as arrays. Letters: L layers, T tokens, E experts, V vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from tinygpt.analysis import attention_maps, routing
from tinygpt.analysis.routing import Ints
from tinygpt_tui.engine.protocol import Example, InspectResult, SurveyResult
from tinygpt_tui.render.heatmap import Floats


@dataclass(frozen=True, eq=False)
class RoutedText:
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
class RoutingSurvey:
    """Who read what in a sample of the validation split, by one checkpoint."""

    step: int
    tokens: int
    """N, that were read."""
    corpus: str
    vocabulary: tuple[str, ...]
    expert_counts: Ints
    """(L, E, V)"""
    top1_probability: tuple[float, ...]
    """(L,) mean probability of the selected expert"""
    agreement: tuple[float, ...]
    """(L,) share of tokens routed as the final checkpoint does; empty without one"""
    examples: dict[tuple[int, int, int], tuple[Example, ...]]
    """By layer, expert and token: where it was read."""

    @property
    def layers(self) -> int:
        """L."""
        return len(self.expert_counts)

    @property
    def experts(self) -> int:
        """E."""
        return int(self.expert_counts.shape[1])

    def by_class(self) -> tuple[list[str], Ints]:
        """The classes that occur, and `expert_counts` (L, E, classes)."""
        members = {n: ids for n, ids in routing.classes(self.vocabulary).items() if len(ids)}
        return list(members), routing.class_counts(self.expert_counts, members)


def reading(reply: InspectResult) -> RoutedText | None:
    """None for Dense: nothing was routed."""
    if not reply.experts:
        return None
    shape = (reply.layers, len(reply.texts), reply.experts)
    return RoutedText(
        step=reply.step,
        val_loss=reply.val_loss,
        total=reply.total,
        start=reply.start,
        texts=reply.texts,
        router=np.frombuffer(reply.router, np.float32).reshape(shape).astype(np.float64),
        choice=np.frombuffer(reply.choice, np.int32).reshape(shape[:2]).astype(np.int64),
    )


def census(reply: SurveyResult) -> RoutingSurvey | None:
    """None for Dense."""
    if not reply.experts:
        return None
    shape = (reply.layers, reply.experts, len(reply.vocabulary))
    return RoutingSurvey(
        step=reply.step,
        tokens=reply.tokens,
        corpus=reply.corpus,
        vocabulary=reply.vocabulary,
        expert_counts=np.frombuffer(reply.expert_counts, np.int64).reshape(shape),
        top1_probability=reply.top1_probability,
        agreement=reply.agreement,
        examples={_place(key): found for key, found in reply.examples.items()},
    )


def _place(key: str) -> tuple[int, int, int]:
    layer, expert, token = map(int, key.split())
    return layer, expert, token


Mode: TypeAlias = Literal["head", "mean", "rollout"]


MODES: tuple[Mode, ...] = ("head", "mean", "rollout")


@dataclass(frozen=True)
class Seen:
    """One pass over one text: what the engine answered, as arrays."""

    path: str
    variant: str
    step: int
    val_loss: float | None
    context: int
    total: int
    """Tokens of the whole text."""
    start: int
    """Where the window begins in it."""
    texts: tuple[str, ...]
    """The T tokens."""
    attention: Floats
    """(L, H, T, T)"""
    statistics: dict[str, Floats] = field(default_factory=dict)
    """(L, H) each."""

    @property
    def layers(self) -> int:
        """How many: L."""
        return int(self.attention.shape[0])

    @property
    def heads(self) -> int:
        """How many: H."""
        return int(self.attention.shape[1])

    @property
    def size(self) -> int:
        """How many tokens: T."""
        return len(self.texts)

    @cached_property
    def means(self) -> Floats:
        """(L, T, T): the mean of each layer's heads."""
        found: Floats = self.attention.mean(axis=1)
        return found

    @cached_property
    def rollout(self) -> Floats:
        """(L, T, T)."""
        return attention_maps.rollout(self.attention)

    def matrix(self, layer: int, head: int, mode: Mode) -> Floats:
        """(T, T): row q holds where query q looks."""
        layer, head = min(layer, self.layers - 1), min(head, self.heads - 1)
        if mode == "head":
            found: Floats = self.attention[layer, head]
        else:
            found = (self.means if mode == "mean" else self.rollout)[layer]
        return found


def seen(reply: InspectResult) -> Seen:
    """The answer of the engine, read."""
    layers, heads, size = reply.layers, reply.heads, len(reply.texts)
    shape = (layers, heads, size, size)
    return Seen(
        path=reply.path,
        variant=reply.variant,
        step=reply.step,
        val_loss=reply.val_loss,
        context=reply.context,
        total=reply.total,
        start=reply.start,
        texts=reply.texts,
        attention=np.frombuffer(reply.attention, np.float32).reshape(shape),
        statistics=tables(reply.statistics, layers, heads),
    )


def tables(found: dict[str, bytes], layers: int, heads: int) -> dict[str, Floats]:
    """Statistics as (L, H)."""
    return {
        # What is sure has an entropy of minus nothing, which reads as a mistake.
        name: np.frombuffer(data, np.float32).reshape(layers, heads) + np.float32(0)
        for name, data in found.items()
    }


def with_survey(shown: Seen, survey: SurveyResult | None) -> dict[str, Floats]:
    """The statistics of this text, and those that a survey of the same checkpoint adds."""
    if survey is None or survey.path != shown.path:
        return shown.statistics
    return tables(survey.statistics, survey.layers, survey.heads) | shown.statistics
