"""The engine's replies as the tabs use them: attention, routing and a survey of the routing.

Letters: L layers, H heads, T tokens, E experts, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from tinygpt.analysis import attention_maps, routing
from tinygpt.analysis.routing import Ints
from tinygpt_tui.engine.protocol import Example, InspectResult, SurveyResult
from tinygpt_tui.render.heatmap import Floats

Mode: TypeAlias = Literal["head", "mean", "rollout"]
MODES: tuple[Mode, ...] = ("head", "mean", "rollout")
"""What a map shows: one head, the mean over a layer's heads, or attention rollout."""


Result = TypeVar("Result", "InspectedText", "RoutedText", "RoutingSurvey")


@dataclass(frozen=True, eq=False)
class InspectedText:
    """The attention of one checkpoint over one window of a text."""

    path: str
    variant: str
    step: int
    val_loss: float | None
    context: int
    total: int
    """Tokens of the whole text."""
    start: int
    """Position of the window's first token in it."""
    at: int | None
    """Position of the token of the character that was asked for."""
    texts: tuple[str, ...]
    """The T tokens of the window."""
    attention: Floats
    """(L, H, T, T) weights."""
    statistics: dict[str, Floats]
    """(L, H) each, by name."""

    @property
    def layers(self) -> int:
        """L."""
        return int(self.attention.shape[0])

    @property
    def heads(self) -> int:
        """H."""
        return int(self.attention.shape[1])

    @property
    def size(self) -> int:
        """T."""
        return len(self.texts)

    @cached_property
    def characters(self) -> bool:
        """Whether every token of the window is a single character, or ends a document."""
        return routing.are_characters(self.texts)

    @cached_property
    def means(self) -> Floats:
        """(L, T, T): the mean over each layer's heads."""
        means: Floats = self.attention.mean(axis=1)
        return means

    @cached_property
    def rollout(self) -> Floats:
        """(L, T, T): see `tinygpt.analysis.attention_maps.rollout`."""
        return attention_maps.rollout(self.attention)

    def matrix(self, layer: int, head: int, mode: Mode) -> Floats:
        """(T, T): row q holds the attention of query q."""
        layer, head = min(layer, self.layers - 1), min(head, self.heads - 1)
        if mode == "mean":
            matrix: Floats = self.means[layer]
        elif mode == "rollout":
            matrix = self.rollout[layer]
        else:
            matrix = self.attention[layer, head]
        return matrix


@dataclass(frozen=True, eq=False)
class RoutedText:
    """The routing of one window of a text by one checkpoint."""

    step: int
    val_loss: float | None
    total: int
    """Tokens of the whole text."""
    start: int
    """Position of the window's first token in it."""
    texts: tuple[str, ...]
    """The T tokens of the window."""
    router: Floats
    """(L, T, E) probabilities."""
    choice: Ints
    """(L, T) the most probable of the selected experts."""

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
    """The routing of one checkpoint over a sample of the validation split."""

    step: int
    tokens: int
    """In the sample."""
    corpus: str
    vocabulary: tuple[str, ...]
    expert_counts: Ints
    """(L, E, V): how often each token was routed to each expert."""
    top1_probability: tuple[float, ...]
    """(L,) mean probability of the selected expert."""
    agreement: tuple[float, ...]
    """(L,) share of tokens routed as in the final checkpoint; empty without one."""
    examples: dict[tuple[int, int, int], tuple[Example, ...]]
    """By layer, expert and token id."""

    @property
    def layers(self) -> int:
        """L."""
        return len(self.expert_counts)

    @property
    def experts(self) -> int:
        """E."""
        return int(self.expert_counts.shape[1])

    @cached_property
    def characters(self) -> bool:
        """Whether every token is a single character, or ends a document."""
        return routing.are_characters(self.vocabulary)

    @cached_property
    def by_class(self) -> tuple[list[str], Ints]:
        """The classes of tokens that occur, and their counts: (L, E, classes)."""
        members = {n: ids for n, ids in routing.classes(self.vocabulary).items() if len(ids)}
        return list(members), routing.class_counts(self.expert_counts, members)


def inspected_text(reply: InspectResult) -> InspectedText:
    """The attention of a reply."""
    return _select(InspectedText, reply)


def routed_text(reply: InspectResult) -> RoutedText | None:
    """The routing of a reply; None for Dense."""
    if reply.router is None or reply.choice is None:
        return None
    router, choice = reply.router.astype(np.float64), reply.choice.astype(np.int64)
    return _select(RoutedText, reply, router=router, choice=choice)


def routing_survey(reply: SurveyResult) -> RoutingSurvey | None:
    """The routing of a reply; None for Dense."""
    return None if reply.expert_counts is None else _select(RoutingSurvey, reply)


def _select(kind: type[Result], reply: InspectResult | SurveyResult, **changes: Any) -> Result:
    """The fields of a reply that `kind` has, too, with changes."""
    names = [field.name for field in fields(kind)]
    return kind(**{name: getattr(reply, name) for name in names} | changes)


def all_statistics(text: InspectedText, survey: SurveyResult | None) -> dict[str, Floats]:
    """The statistics of a text, and those that only a survey of the same checkpoint has."""
    if survey is None or survey.path != text.path:
        return text.statistics
    return {**survey.statistics, **text.statistics}
