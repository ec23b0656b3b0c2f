"""What the heads and experts of a model do over a text longer than its context: a sample of it.

One window at a time, so that whoever asks can do something else in between.

Letters: L layers, H heads, T tokens of a window, N of all windows, E experts, K experts a token,
V vocabulary.
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

from tinygpt.analysis import heads, routing
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT, evaluating

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Place = tuple[int, int, int]
"""Layer, expert, token."""

SAMPLE = 4096
"""Tokens to look at, or a window more: the standard error of a share of 5 % is then 0.3 %."""
REPEATS = 4
"""Random sequences that the scores of `heads.repeated` are the mean of."""
FAVOURITES = 12
"""Tokens of an expert whose places are kept, those that it reads most beyond their share."""
PLACES = 8
"""Places kept of each."""
ENOUGH = 5
"""Reads under which a token says nothing of an expert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the experts read."""

    expert_counts: Ints
    """(L, E, V), see `routing.expert_counts`."""
    pairs: Ints
    """(L - 1, E, E), see `routing.pairs`."""
    top1_probability: Floats
    """(L,) mean probability of the likeliest selected expert."""
    agreement: Floats | None
    """(L,) share of tokens that the other model's expert of that number reads; None without."""
    places: dict[Place, tuple[int, ...]]
    """Where in the ids each expert reads its favourites, spread over all there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a survey came to."""

    tokens: int
    """N, that were read."""
    statistics: dict[str, Tensor]
    """(L, H) by name, means over the windows: `heads.statistics` and `heads.repeated`."""
    uniform_baseline: dict[str, float]
    """The same of a head that looks everywhere alike."""
    routing: Readings | None
    """None for Dense."""


class Surveyor:
    """Looks at evenly spaced windows of `ids` (whole contexts, without overlap), one a `step`.

    Without a number of `windows`, at so many that `SAMPLE` tokens are read, if there are as many.

    Raises:
        TinyGPTError: no ids, or a `final` model with other layers or experts.
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
            _check_alike(model, self._final)
        self._ids = torch.as_tensor(ids, dtype=torch.int64).cpu().flatten()
        if not len(self._ids):
            raise TinyGPTError("there is nothing to look at: give at least one token")
        self._window = min(model.config.context, len(self._ids))
        self._half = model.config.context // 2
        count = math.ceil(SAMPLE / self._window) if windows is None else windows
        self._starts = deque(window_starts(len(self._ids), self._window, count))
        self._seeds = deque(range(REPEATS if self._half > 1 else 0))
        self._heads: list[dict[str, Tensor]] = []
        self._copying: list[dict[str, Tensor]] = []
        self._positions: list[Ints] = []
        self._choices: list[Ints] = []
        self._others: list[Ints] = []
        self._sure: list[Floats] = []

    def step(self) -> bool:
        """Look at one more window; whether there was one."""
        if self._starts:
            self._look(self._starts.popleft())
        elif self._seeds:
            seed = self._seeds.popleft()
            self._copying.append(heads.repeated(self._model, self._half, seed=seed))
        else:
            return False
        return True

    def findings(self) -> Findings:
        """Of the steps so far, at least one."""
        return Findings(
            tokens=sum(map(len, self._positions)),
            statistics={**_mean(self._heads), **self._copies()},
            uniform_baseline=self._chance(),
            routing=self._readings() if self._choices else None,
        )

    def _look(self, start: int) -> None:
        ids = self._ids[start : start + self._window]
        found = inspect_tokens(self._model, ids)
        self._heads.append(heads.statistics(found.attention))
        self._positions.append(np.arange(start, start + len(ids)))
        if found.choice is not None and found.top1_probability is not None:
            self._choices.append(found.choice.numpy())
            self._sure.append(found.top1_probability.double().numpy())
        if self._final:
            self._others.append(_first_choices(self._final, ids))

    def _copies(self) -> dict[str, Tensor]:
        """Scores on repeated sequences; nan where a context has no room for one."""
        shape = (self._model.config.layers, self._model.config.heads)
        nothing = {name: torch.full(shape, torch.nan) for name in heads.REPEATED}
        return _mean(self._copying) if self._copying else nothing

    def _chance(self) -> dict[str, float]:
        copying = heads.repeated_chance(self._half) if self._half > 1 else {}
        return {**heads.uniform_baseline(self._window), **copying}

    def _readings(self) -> Readings:
        config = self._model.config
        assert config.moe is not None
        positions, choice = np.concatenate(self._positions), np.concatenate(self._choices, 1)
        ids = self._ids.numpy()[positions]
        expert_counts = routing.expert_counts(choice, ids, config.moe.experts, config.vocab_size)
        others = np.concatenate(self._others, 1) if self._others else None
        return Readings(
            expert_counts=expert_counts,
            pairs=routing.pairs(choice, config.moe.experts),
            top1_probability=np.asarray(np.concatenate(self._sure, 1).mean(1), np.float64),
            agreement=None if others is None else routing.agreement(choice[..., 0], others),
            places=favourite_places(choice, ids, positions, expert_counts),
        )


def survey_tokens(
    model: GPT,
    ids: Sequence[int] | Tensor,
    *,
    windows: int | None = None,
    final: GPT | None = None,
) -> Findings:
    """All steps of a `Surveyor` at once."""
    surveyor = Surveyor(model, ids, windows=windows, final=final)
    while surveyor.step():
        pass
    return surveyor.findings()


def window_starts(total: int, window: int, count: int) -> list[int]:
    """Where up to `count` windows begin, evenly spread over `total` tokens, none on another.

    The first begins at the first token, and the last ends with the last one.
    """
    count = max(1, min(count, total // window))
    return [round(i * (total - window) / max(count - 1, 1)) for i in range(count)]


def favourite_places(
    choice: Ints, ids: Ints, positions: Ints, expert_counts: Ints
) -> dict[Place, tuple[int, ...]]:
    """Where each expert reads the tokens that it reads most beyond their share.

    Args:
        choice: (L, N, K) who read.
        ids: (N,) what.
        positions: (N,) where that is.
        expert_counts: (L, E, V), the counts of both.
    """
    lift = routing.lift(expert_counts)
    places = {}
    for layer, expert in np.ndindex(*expert_counts.shape[:2]):
        reading = (choice[layer] == expert).any(-1)
        for token in favourites(expert_counts[layer, expert], lift[layer, expert]):
            found = positions[reading & (ids == token)]
            places[layer, expert, token] = tuple(_spread(found, PLACES).tolist())
    return places


def favourites(expert_counts: Ints, lift: Floats) -> list[int]:
    """The tokens of highest lift above 1, of one expert's (V,); of equals, the most read first."""
    order = np.lexsort((-expert_counts, -lift))
    kept = order[(expert_counts[order] >= ENOUGH) & (lift[order] > 1)]
    return [int(token) for token in kept[:FAVOURITES]]


def _spread(values: Ints, count: int) -> Ints:
    """At most `count` of them, evenly spaced, the first and the last among them."""
    kept = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return np.asarray(values[kept], np.int64)


def _first_choices(model: GPT, ids: Tensor) -> Ints:
    """(L, T): the first expert selected for each token."""
    with evaluating(model), torch.no_grad():
        layers = model.run(ids.to(model.head.device)[None]).routing
    return np.asarray(torch.stack([layer.choice[:, 0] for layer in layers]).cpu(), np.int64)


def _check_alike(model: GPT, final: GPT) -> None:
    def shape(of: GPT) -> tuple[int, ...]:
        moe = of.config.moe
        return of.config.layers, moe.experts if moe else 0, of.config.context, of.config.vocab_size

    if shape(model) != shape(final):
        raise TinyGPTError(
            "the routing of the two models cannot be compared: "
            "they differ in layers, experts, context or vocabulary"
        )


def _mean(several: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in several]).mean(0) for name in several[0]}
