"""What a part of a model is worth: the loss without it, or with another in its place.

A head or an expert is left out by setting its output projection to zero, so that it adds nothing to
the residual stream; a token whose expert is left out passes that layer with attention alone. All of
these change the model only inside a with-block.

Letters: L layers, H heads, E experts, W windows, T tokens of a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinygpt.model.gpt import GPT, Block, evaluating
from tinygpt.model.loss import next_token_loss
from tinygpt.model.moe import MoE, Router, Routing

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablations:
    """Losses over the same windows, in nats per token."""

    loss: float
    """Of the whole model."""
    heads: Floats
    """(L, H): without each head; nan where that is not known yet."""
    experts: Floats | None
    """(L, E): without each expert; None for Dense."""


class Ablator:
    """Measures the loss over `windows` (W, T + 1) of a model, and without each head and each expert
    of it; one of them per `step`, so that its caller can do other work in between."""

    def __init__(self, model: GPT, windows: Tensor) -> None:
        self._model, self._windows = model, windows.to(model.device)
        config = model.config
        self._loss = float("nan")
        self._heads = np.full((config.layers, config.heads), np.nan)
        self._experts = np.full((config.layers, config.moe.experts), np.nan) if config.moe else None
        self._left = deque(self._measurements())

    def step(self) -> bool:
        """Measure one more loss; False if none is left."""
        if not self._left:
            return False
        self._left.popleft()()
        return True

    def findings(self) -> Ablations:
        """The losses of the steps so far."""
        return Ablations(loss=self._loss, heads=self._heads, experts=self._experts)

    def _measurements(self) -> Iterator[Callable[[], None]]:
        yield self._measure_whole
        for place in np.ndindex(*self._heads.shape):
            yield partial(self._measure, self._heads, place, without_head)
        if self._experts is not None:
            for place in np.ndindex(*self._experts.shape):
                yield partial(self._measure, self._experts, place, without_expert)

    def _measure_whole(self) -> None:
        self._loss = mean_loss(self._model, self._windows)

    def _measure(
        self,
        losses: Floats,
        place: tuple[int, ...],
        without: Callable[[GPT, int, int], AbstractContextManager[None]],
    ) -> None:
        layer, index = place
        with without(self._model, layer, index):
            losses[place] = mean_loss(self._model, self._windows)


def ablate(model: GPT, windows: Tensor) -> Ablations:
    """The findings of a complete `Ablator`, which has the same arguments."""
    ablator = Ablator(model, windows)
    while ablator.step():
        pass
    return ablator.findings()


@torch.no_grad()
def mean_loss(model: GPT, windows: Tensor, tokens: int = 4096) -> float:
    """The mean loss of windows (W, T + 1) in nats per token, `tokens` or a window at a time."""
    total = 0.0
    with evaluating(model):
        for batch in windows.long().split(max(1, tokens // windows.shape[1])):
            trace = model.run(batch[:, :-1])
            total += next_token_loss(trace.hidden, trace.head, batch[:, 1:], "sum").item()
    return total / windows[:, 1:].numel()


@contextmanager
def without_head(model: GPT, layer: int, head: int) -> Iterator[None]:
    """In the with-block, a head of a layer adds nothing."""
    attention = _block(model, layer).attention
    width = attention.head_width
    with _zeroed(attention.out[:, head * width : (head + 1) * width]):
        yield


@contextmanager
def without_expert(model: GPT, layer: int, expert: int) -> Iterator[None]:
    """In the with-block, an expert of a layer adds nothing; its tokens get no other one."""
    with _zeroed(_experts(model, layer).down[expert]):
        yield


@contextmanager
def exchanged_layers(model: GPT, one: int, other: int) -> Iterator[None]:
    """In the with-block, two layers have each other's experts, but their own routers."""
    a, b = _experts(model, one), _experts(model, other)
    _exchange(a, b)
    try:
        yield
    finally:
        _exchange(a, b)


@contextmanager
def rotated_experts(model: GPT, layer: int) -> Iterator[None]:
    """In the with-block, each expert of a layer gets the tokens of the one before it."""
    experts = _experts(model, layer)
    _roll(experts, 1)
    try:
        yield
    finally:
        _roll(experts, -1)


@contextmanager
def next_choice(model: GPT) -> Iterator[None]:
    """In the with-block, every router selects the best experts but the first, with the weights of
    those that it would select: with one expert per token, the second choice."""
    layers = [_experts(model, layer) for layer in range(model.config.layers)]
    routers = [layer.router for layer in layers]
    for layer, router in zip(layers, routers, strict=True):
        layer.router = _NextChoice(router)  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer, router in zip(layers, routers, strict=True):
            layer.router = router


class _NextChoice(nn.Module):
    """Routes as `router`, and weights as it does, but to the experts one rank later: what is
    measured is the choice of the expert alone."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router, self.top_k = router, router.top_k

    def forward(self, x: Tensor) -> Routing:
        routing: Routing = self.router(x)
        scores = routing.probabilities + self.router.bias
        choice = scores.topk(self.top_k + 1, -1).indices[:, 1:]
        return Routing(routing.logits, routing.probabilities, choice, routing.weight)


def _block(model: GPT, layer: int) -> Block:
    block = model.blocks[layer]
    assert isinstance(block, Block)
    return block


def _experts(model: GPT, layer: int) -> MoE:
    feed = _block(model, layer).feed
    assert isinstance(feed, MoE), "a Dense model has no experts"
    return feed


@contextmanager
def _zeroed(part: Tensor) -> Iterator[None]:
    """In the with-block, a part of a weight is zero."""
    with torch.no_grad():
        kept = part.clone()
        part.zero_()
        try:
            yield
        finally:
            part.copy_(kept)


def _exchange(a: MoE, b: MoE) -> None:
    a.up, b.up = b.up, a.up
    a.down, b.down = b.down, a.down


@torch.no_grad()
def _roll(experts: MoE, places: int) -> None:
    for weight in (experts.up, experts.down):
        weight.copy_(weight.roll(places, 0))
