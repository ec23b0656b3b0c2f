"""The loss of the next tokens, without holding all logits at once where the vocabulary is large.

A batch of 12 x 1,024 tokens has 618 million logits over GPT-2's vocabulary, which take 2.5 GB in
fp32, as much again in the backward pass, and more in between.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.model.gpt import project
from tinygpt.model_config import MOST_LOGITS


def next_token_loss(
    hidden: Tensor, head: Tensor, targets: Tensor, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """The cross-entropy of the next tokens, in nats.

    Up to `MOST_LOGITS` logits are computed as one; more of them in chunks of tokens, with their
    gradient right away, so that neither takes memory beyond a chunk, nor any product is computed
    twice.

    Args:
        hidden: (B, T, D) what the head reads.
        head: (V, D).
        targets: (B, T) int64.
        reduction: the mean over all tokens, or the sum.
    """
    count = targets.numel()
    if count * len(head) <= MOST_LOGITS:
        logits = project(hidden, head).flatten(0, 1).float()
        return F.cross_entropy(logits, targets.flatten(), reduction=reduction)
    inputs = hidden.flatten(0, 1), head, targets.flatten(), torch.is_grad_enabled()
    total: Tensor = _Chunked.apply(*inputs)  # type: ignore[no-untyped-call]
    return total / count if reduction == "mean" else total


class _Chunked(torch.autograd.Function):
    """The sum over tokens, chunk by chunk, and its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        gradients: bool,  # noqa: FBT001
    ) -> Tensor:
        """hidden (N, D), head (V, D), targets (N,) -> (), and if wanted the gradients in between:
        here gradients are always off, and parameters need one always."""
        wanted = gradients and any(ctx.needs_input_grad)
        rows = max(1, MOST_LOGITS // len(head))
        total = hidden.new_zeros((), dtype=torch.float32)
        of_hidden = torch.empty_like(hidden) if wanted else None
        of_head = torch.zeros_like(head) if wanted else None
        for start in range(0, len(hidden), rows):
            part, right = hidden[start : start + rows], targets[start : start + rows]
            logits = project(part, head)
            kind, logits = logits.dtype, logits.float()
            log_sum = logits.logsumexp(-1, keepdim=True)
            total += (log_sum - logits.gather(1, right[:, None])).sum()
            if of_hidden is not None and of_head is not None:
                error = (logits - log_sum).exp_()
                error.scatter_add_(1, right[:, None], -torch.ones_like(log_sum))
                error = error.to(kind)
                of_hidden[start : start + rows] = error @ head.to(kind)
                of_head += error.T @ part.to(kind)
        if of_hidden is not None and of_head is not None:
            ctx.save_for_backward(of_hidden, of_head)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The gradients, scaled."""
        of_hidden, of_head = ctx.saved_tensors
        return of_hidden * gradients[0], of_head * gradients[0], None, None
