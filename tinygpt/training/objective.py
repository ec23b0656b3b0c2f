"""What training minimises: the cross-entropy of the next token, and the losses of the routers.

One function from tokens to losses, so that a compiler sees all of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tinygpt.model.gpt import GPT
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


def objective(model: GPT, batch: Tensor) -> Losses:
    """The losses of a micro-batch (B, T + 1): inputs, and one more token, the last target."""
    trace = model.run(batch[:, :-1])
    loss = next_token_loss(trace.hidden, trace.head, batch[:, 1:])
    moe = model.config.moe
    loads = [r.load() for r in trace.routing] if moe and moe.bias_rate else []
    return Losses(_with_router_losses(loss, trace.routing, model), loss.detach(), loads)


def _with_router_losses(loss: Tensor, routing: list[Routing], model: GPT) -> Tensor:
    moe = model.config.moe
    if moe and moe.aux_loss:
        loss = loss + moe.aux_loss * torch.stack([balance_loss(r) for r in routing]).sum()
    if moe and moe.z_loss:
        loss = loss + moe.z_loss * torch.stack([z_loss(r) for r in routing]).sum()
    return loss
