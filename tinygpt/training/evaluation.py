"""Deterministic evaluation: one pass over a whole text, in windows of the context length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model.moe import RoutingStatistics, RoutingTally

TOKENS = 4096
"""Tokens a batch: few enough to stay in a CPU's cache, enough to keep its cores busy."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one pass found."""

    loss: float
    """Nats a token: mean negative log-likelihood of every token but the first."""
    routing: RoutingStatistics | None
    """Over the same tokens; None for Dense."""


def windows(tokens: Tensor, context: int) -> list[Tensor]:
    """A text (N,) cut into windows that share one token, so that each token but the first is
    predicted once: all whole ones (W, context + 1), then the rest (1, R + 1) if there is one."""
    whole = (len(tokens) - 1) // context
    parts = [tokens.unfold(0, context + 1, context)] if whole else []
    rest = tokens[whole * context :]
    return [*parts, rest[None]] if len(rest) > 1 else parts


def spread(tokens: Tensor, context: int, count: int) -> list[Tensor]:
    """About `count` of the whole windows of a text, evenly spaced over it."""
    whole = windows(tokens, context)[0]
    return [whole[:: max(1, len(whole) // count)][:count]]


@torch.no_grad()
def evaluate(model: GPT, parts: list[Tensor]) -> Evaluation:
    """The mean loss over windows (W, T + 1) of any lengths, without dropout."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    tally = RoutingTally()
    with evaluating(model):
        for part in parts:
            for batch in map(Tensor.long, part.split(max(1, TOKENS // part.shape[1]))):
                trace = model.run(batch[:, :-1])
                targets = batch[:, 1:].flatten()
                logits = trace.logits.flatten(0, 1).float()
                total += F.cross_entropy(logits, targets, reduction="sum").cpu().double()
                count += len(targets)
                if trace.routing:
                    tally.add(trace.routing)
    return Evaluation(total.item() / count, tally.statistics() if tally else None)
