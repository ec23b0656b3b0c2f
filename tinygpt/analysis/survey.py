"""Statistics of heads and experts over a corpus, from a sample of evenly spaced windows.

A `Surveyor` inspects one window per step, so that its caller can do other work in between.

Letters: L layers, H heads, T tokens of a window, N tokens of all windows, E experts, K experts per
token, V vocabulary.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinygpt.analysis import attention_maps, heads, routing
from tinygpt.analysis.inspection import inspect_tokens, longest_window
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT, evaluating

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LayerExpertToken = tuple[int, int, int]

SAMPLE_TOKENS = 4096
"""Tokens to inspect, rounded up to whole windows: a share of 5 % has a standard error of 0.3 %."""
REPEATED_SEQUENCES = 4
"""Random sequences over which the scores of `heads.repeated` are averaged."""
TOP_TOKENS = 12
"""Tokens per expert for which example positions are kept: those of highest lift."""
EXAMPLES = 8
"""Example positions kept per token."""
MIN_COUNT = 5
"""Tokens that an expert gets less often than this are not among its top tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFindings:
    """Statistics of the routing."""

    expert_counts: Ints
    """(L, E, V): see `routing.expert_counts`."""
    pairs: Ints
    """(L - 1, E, E): see `routing.pairs`."""
    top1_probability: Floats
    """(L,) mean probability of the most probable selected expert."""
    agreement: Floats | None
    """(L,) share of tokens with the same expert in the final model; None without one."""
    examples: dict[LayerExpertToken, tuple[int, ...]]
    """Positions in the ids of an expert's tokens of highest lift, evenly spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The results of a survey."""

    tokens: int
    """N, inspected."""
    statistics: dict[str, Tensor]
    """name -> (L, H), means over the windows: `heads.statistics` and `heads.repeated`."""
    uniform_baseline: dict[str, float]
    """The same statistics for a head that attends uniformly."""
    routing: RoutingFindings | None
    """None for Dense."""


class Surveyor:
    """Inspects evenly spaced windows of `ids`, one per `step`.

    They are one context long, or `longest_window` if that is less, and do not overlap.

    Args:
        model: the model to inspect.
        ids: (N,) tokens of the corpus.
        windows: how many; by default enough for `SAMPLE_TOKENS`. Fewer if the corpus is short.
        final: the run's last checkpoint, to measure how far the routing agrees with it.

    Raises:
        TinyGPTError: no ids, or `final` differs in layers, experts, context or vocabulary.
    """

    def __init__(
        self,
        model: GPT,
        ids: Sequence[int] | Tensor,
        *,
        windows: int | None = None,
        final: GPT | None = None,
    ) -> None:
        self._model, self._final = model, final if model.config.moe else None
        if self._final:
            _check_comparable(model, self._final)
        self._ids = torch.as_tensor(ids, dtype=torch.int64).cpu().flatten()
        if not len(self._ids):
            raise TinyGPTError("there is nothing to inspect: give at least one token")
        self._window = min(longest_window(model.config), len(self._ids))
        self._repeat_length = heads.repeated_length(model.config)
        count = math.ceil(SAMPLE_TOKENS / self._window) if windows is None else windows
        self._starts = deque(window_starts(len(self._ids), self._window, count))
        self._seeds = deque(range(REPEATED_SEQUENCES if self._repeat_length > 1 else 0))
        self._heads: list[dict[str, Tensor]] = []
        self._copying: list[dict[str, Tensor]] = []
        self._positions: list[Ints] = []
        self._choices: list[Ints] = []
        self._final_choices: list[Ints] = []
        self._top1_probabilities: list[Floats] = []

    def step(self) -> bool:
        """Inspect one more window or random sequence; False if none is left."""
        if self._starts:
            self._inspect_window(self._starts.popleft())
        elif self._seeds:
            seed = self._seeds.popleft()
            self._copying.append(heads.repeated(self._model, self._repeat_length, seed=seed))
        else:
            return False
        return True

    def findings(self) -> Findings:
        """The results of the steps so far, at least one."""
        return Findings(
            tokens=sum(map(len, self._positions)),
            statistics={**_mean(self._heads), **self._copying_scores()},
            uniform_baseline=self._uniform_baseline(),
            routing=self._routing() if self._choices else None,
        )

    def _inspect_window(self, start: int) -> None:
        ids = self._ids[start : start + self._window]
        window = inspect_tokens(self._model, ids)
        self._heads.append(heads.statistics(window.attention))
        self._positions.append(np.arange(start, start + len(ids)))
        if window.choice is not None and window.top1_probability is not None:
            self._choices.append(window.choice.numpy())
            self._top1_probabilities.append(window.top1_probability.double().numpy())
        if self._final:
            self._final_choices.append(_first_choices(self._final, ids))

    def _copying_scores(self) -> dict[str, Tensor]:
        """Scores on repeated sequences; nan if the context is too short for one."""
        shape = (self._model.config.layers, self._model.config.heads)
        missing = {name: torch.full(shape, torch.nan) for name in heads.REPEATED}
        return _mean(self._copying) if self._copying else missing

    def _uniform_baseline(self) -> dict[str, float]:
        length = self._repeat_length
        copying = attention_maps.repeated_baseline(length) if length > 1 else {}
        return {**attention_maps.uniform_baseline(self._window), **copying}

    def _routing(self) -> RoutingFindings:
        config = self._model.config
        assert config.moe is not None
        positions, choice = np.concatenate(self._positions), np.concatenate(self._choices, 1)
        ids = self._ids.numpy()[positions]
        expert_counts = routing.expert_counts(choice, ids, config.moe.experts, config.vocab_size)
        final = np.concatenate(self._final_choices, 1) if self._final_choices else None
        top1 = np.concatenate(self._top1_probabilities, 1).mean(1)
        return RoutingFindings(
            expert_counts=expert_counts,
            pairs=routing.pairs(choice, config.moe.experts),
            top1_probability=np.asarray(top1, np.float64),
            agreement=None if final is None else routing.agreement(choice[..., 0], final),
            examples=example_positions(choice, ids, positions, expert_counts),
        )


def survey_tokens(
    model: GPT,
    ids: Sequence[int] | Tensor,
    *,
    windows: int | None = None,
    final: GPT | None = None,
) -> Findings:
    """The findings of a complete `Surveyor`, which has the same arguments."""
    surveyor = Surveyor(model, ids, windows=windows, final=final)
    while surveyor.step():
        pass
    return surveyor.findings()


def window_starts(total: int, window: int, count: int) -> list[int]:
    """The starts of up to `count` windows, evenly spread over `total` tokens without overlap.

    The first window starts at the first token, and the last one ends at the last token.
    """
    count = max(1, min(count, total // window))
    return [round(i * (total - window) / max(count - 1, 1)) for i in range(count)]


def example_positions(
    choice: Ints, ids: Ints, positions: Ints, expert_counts: Ints
) -> dict[LayerExpertToken, tuple[int, ...]]:
    """Positions of each expert's tokens of highest lift.

    Args:
        choice: (L, N, K) selected experts.
        ids: (N,) tokens.
        positions: (N,) positions of these tokens in the corpus.
        expert_counts: (L, E, V), see `routing.expert_counts`.
    """
    lift = routing.lift(expert_counts)
    examples = {}
    for layer, expert in np.ndindex(*expert_counts.shape[:2]):
        routed = (choice[layer] == expert).any(-1)
        for token in top_lift_tokens(expert_counts[layer, expert], lift[layer, expert]):
            occurrences = positions[routed & (ids == token)]
            examples[layer, expert, token] = tuple(_evenly_spaced(occurrences, EXAMPLES).tolist())
    return examples


def top_lift_tokens(expert_counts: Ints, lift: Floats) -> list[int]:
    """The tokens of highest lift above 1 of one expert (V,); ties go to the more frequent."""
    order = np.lexsort((-expert_counts, -lift))
    kept = order[(expert_counts[order] >= MIN_COUNT) & (lift[order] > 1)]
    return [int(token) for token in kept[:TOP_TOKENS]]


def _evenly_spaced(values: Ints, count: int) -> Ints:
    """At most `count` of the values, evenly spaced, including the first and the last."""
    kept = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return np.asarray(values[kept], np.int64)


def _first_choices(model: GPT, ids: Tensor) -> Ints:
    """(L, T): the first selected expert of each token."""
    with evaluating(model), torch.no_grad():
        layers = model.run(ids.to(model.device)[None]).routing
    return np.asarray(torch.stack([layer.choice[:, 0] for layer in layers]).cpu(), np.int64)


def _check_comparable(model: GPT, final: GPT) -> None:
    def shape(of: GPT) -> tuple[int, ...]:
        moe = of.config.moe
        return of.config.layers, moe.experts if moe else 0, of.config.context, of.config.vocab_size

    if shape(model) != shape(final):
        raise TinyGPTError(
            "the routing of the two models cannot be compared: "
            "they differ in layers, experts, context or vocabulary"
        )


def _mean(tables: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([table[name] for table in tables]).mean(0) for name in tables[0]}
