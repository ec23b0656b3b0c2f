"""What a model does with a text: its attention and its routing, from the explicit path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.errors import TinyGPTError
from tinygpt.model import GPT, evaluating


@dataclass(frozen=True, slots=True)
class Inspection:
    """T tokens through L layers of H heads; fp32 on the CPU."""

    attention: Tensor
    """(L, H, T, T): row q holds where query q looks; it sums to 1 and is 0 after q."""
    router: Tensor | None
    """(L, T, E) probabilities of the experts; None for Dense."""
    choice: Tensor | None
    """(L, T, K) experts selected, likeliest first; None for Dense."""
    logits: Tensor
    """(T, V)"""


def inspect_tokens(model: GPT, ids: Sequence[int] | Tensor) -> Inspection:
    """Look inside one pass over `ids` (T,), at most the context. Changes nothing in the model.

    Raises:
        TinyGPTError: no token, or more than the context.
    """
    tokens = torch.as_tensor(ids, dtype=torch.int64, device=model.head.device).flatten()
    if not len(tokens):
        raise TinyGPTError("there is nothing to look at: give at least one token")
    with evaluating(model), torch.no_grad():
        trace = model.run(tokens[None], explicit=True)
    routing = trace.routing
    return Inspection(
        attention=torch.cat(trace.attention).float().cpu(),
        router=torch.stack([r.probabilities for r in routing]).cpu() if routing else None,
        choice=torch.stack([r.choice for r in routing]).cpu() if routing else None,
        logits=trace.logits[0].float().cpu(),
    )
