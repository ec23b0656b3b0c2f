"""What training minimises: the cross-entropy of the next token, and the losses of the routers.

One function from tokens to losses, so that a compiler sees all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model.loss import next_token_loss
from tinygpt.model.moe import Routing, balance_loss, z_loss


class Losses(NamedTuple):
    """Of one micro-batch."""

    total: Tensor
    """What is minimised."""
    cross_entropy: Tensor
    """In nats per token; has no gradient."""
    loads: list[Tensor]
    """Per layer, (E,) tokens per expert; empty unless they steer a selection bias."""


def objective(
    model: GPT,
    batch: Tensor,
    loads: list[Tensor] | None = None,
    add_up: Callable[[Sequence[Tensor]], None] | None = None,
) -> Losses:
    """The losses of a micro-batch (B, T + 1): inputs, and one more token, the last target.

    Experts are balanced over this batch, or over the larger one that `loads` are of: see
    `balance_loss`. Where that is the same micro-batch in several processes, `add_up` adds up what
    each of them has counted, in place.
    """
    trace = model.run(batch[:, :-1])
    loss = next_token_loss(trace.hidden, trace.head, batch[:, 1:])
    moe = model.config.moe
    own = [r.load() for r in trace.routing] if moe and moe.bias_rate else []
    if moe and moe.aux_loss and loads is None:
        loads = [r.load() for r in trace.routing]
        if add_up:
            add_up(loads)
    return Losses(_with_router_losses(loss, trace.routing, model, loads), loss.detach(), own)


class Objective(nn.Module):
    """A model with its objective as one module, as `World.replicated` takes it."""

    def __init__(self, model: GPT, function: Callable[..., Losses]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *arguments: object) -> Losses:
        """As `objective` of the model."""
        return self.function(self.model, *arguments)


@torch.no_grad()
def expert_loads(model: GPT, batch: Tensor) -> list[Tensor]:
    """Per layer, the tokens per expert (E,) of a micro-batch (B, T + 1), without dropout; costs a
    forward pass."""
    with evaluating(model):
        return [routing.load() for routing in model.run(batch[:, :-1]).routing]


def _with_router_losses(
    loss: Tensor, routing: list[Routing], model: GPT, loads: list[Tensor] | None
) -> Tensor:
    moe = model.config.moe
    if moe and moe.aux_loss and loads:
        balance = [balance_loss(*pair) for pair in zip(routing, loads, strict=True)]
        loss = loss + moe.aux_loss * torch.stack(balance).sum()
    if moe and moe.z_loss:
        loss = loss + moe.z_loss * torch.stack([z_loss(r) for r in routing]).sum()
    return loss
