"""The attention, routing and logits of a model over one text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tinygpt.device import total_memory
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model_config import ModelConfig

LARGEST_ATTENTION = 12 * 12 * 1024**2
"""Attention weights that a window may have: the layers, heads and context of the preset `small`."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One pass over a text; tensors are fp32 on the CPU.

    Letters: T tokens, L layers, H heads, E experts, K experts per token, V vocabulary.
    """

    attention: Tensor
    """(L, H, T, T): row q holds the weights of query q; it sums to 1 and is 0 after q (causal)."""
    router: Tensor | None
    """(L, T, E) probabilities of the router; None for Dense."""
    choice: Tensor | None
    """(L, T, K) selected experts, best first by probability plus bias; None for Dense."""
    logits: Tensor
    """(T, V)"""

    @property
    def expert(self) -> Tensor | None:
        """(L, T) the most probable of the selected experts; None for Dense."""
        if self.router is None or self.choice is None:
            return None
        best = self.router.gather(-1, self.choice).argmax(-1, keepdim=True)
        return self.choice.gather(-1, best)[..., 0]

    @property
    def top1_probability(self) -> Tensor | None:
        """(L, T) the probability of `expert`; None for Dense."""
        if self.router is None or self.choice is None:
            return None
        return self.router.gather(-1, self.choice).amax(-1)


def inspect_tokens(model: GPT, ids: Sequence[int] | Tensor) -> Inspection:
    """Inspect one pass over `ids` (T,), at most the context. Leaves the model unchanged.

    Raises:
        TinyGPTError: no tokens, or more than the context, or than the memory can hold.
    """
    tokens = torch.as_tensor(ids, dtype=torch.int64, device=model.device).flatten()
    if not len(tokens):
        raise TinyGPTError("there is nothing to inspect: give at least one token")
    _refuse_too_many(len(tokens), model)
    with evaluating(model), torch.no_grad():
        trace = model.run(tokens[None], explicit=True)
        logits = trace.logits[0].float().cpu()
    routing = trace.routing
    return Inspection(
        attention=torch.cat(trace.attention).float().cpu(),
        router=torch.stack([r.probabilities for r in routing]).cpu() if routing else None,
        choice=torch.stack([r.choice for r in routing]).cpu() if routing else None,
        logits=logits,
    )


def _refuse_too_many(tokens: int, model: GPT) -> None:
    """Raises TinyGPTError if the attention weights would not fit into memory.

    Checked before allocating: a system that overcommits memory would kill the process later.
    """
    maps = model.config.layers * model.config.heads
    # Per weight: 4 bytes each in the layers' results, in these joined, and in one temporary copy.
    most = math.isqrt(total_memory(str(model.device)) // (12 * maps))
    if tokens > most:
        raise TinyGPTError(
            f"the attention weights of {tokens:,} tokens do not fit into memory: "
            f"inspect at most {most:,} tokens at once"
        )


def longest_window(config: ModelConfig) -> int:
    """Tokens of the longest window whose attention weights fit into `LARGEST_ATTENTION`.

    Where a measurement chooses its own text, the context is no measure of its length: a checkpoint
    may claim any.
    """
    return min(config.context, math.isqrt(LARGEST_ATTENTION // (config.layers * config.heads)))


def window_start(total: int, context: int, wanted: int | None) -> int:
    """Start of a context-sized window in `total` tokens: `wanted` if possible, else the last."""
    last = max(0, total - context)
    return last if wanted is None else min(max(0, wanted), last)


def surprisal(logits: Tensor, ids: Sequence[int] | Tensor) -> Tensor:
    """(T,) nats of each token given those before it, from logits (T, V); nan for the first."""
    targets = torch.as_tensor(ids, dtype=torch.int64).cpu().flatten()[1:]
    known = logits[:-1].log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return torch.cat((known.new_full((1,), torch.nan), 0.0 - known))
