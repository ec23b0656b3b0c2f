"""Mixture of experts: a router sends each token to its top-k experts, and returns what it decided.

The layer is dropless and exact: every token has its row among those of its expert, each expert
computes one product over its own rows, and the results are taken back and scaled by the router's
probability (Switch Transformer, arXiv:2101.03961). That scale is what teaches the router: without
it, or with top-1 weights renormalised to the constant 1, its gradient is zero and the routing stays
random for ever.

Letters: N tokens, D width, E experts, K experts a token, F channels inside an expert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Routing:
    """What one router decided for N tokens."""

    logits: Tensor
    """(N, E) fp32"""
    probabilities: Tensor
    """(N, E) softmax over all experts, fp32"""
    choice: Tensor
    """(N, K) experts selected, int64"""
    weight: Tensor
    """(N, K) probability of each selected expert, not renormalised, fp32"""

    def load(self) -> Tensor:
        """(E,) tokens sent to each expert; differs from the probabilities' mean. Sums to N x K."""
        return torch.zeros_like(self.logits[0]).scatter_add_(
            0, self.choice.flatten(), torch.ones_like(self.weight).flatten()
        )


class Router(nn.Module):
    """Scores every expert for every token, in fp32 whatever the model computes in.

    `bias` steers the selection alone, never the weight: the loss-free balancing of DeepSeek
    (arXiv:2408.15664). It is zero, and stays so, unless `rebalance` is called.
    """

    bias: Tensor

    def __init__(self, width: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Parameter(torch.empty(experts, width))
        self.register_buffer("bias", torch.zeros(experts))

    def forward(self, x: Tensor) -> Routing:
        """(N, D) -> the decision for each token."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.gate)
            probabilities = logits.softmax(-1)
        choice = (probabilities + self.bias).topk(self.top_k, -1).indices
        return Routing(logits, probabilities, choice, probabilities.gather(-1, choice))

    @torch.no_grad()
    def rebalance(self, load: Tensor, rate: float) -> None:
        """Make experts under the mean load (E,) likelier to be selected by `rate`, others less."""
        self.bias += rate * torch.sign(load.mean() - load)


class MoE(nn.Module):
    """A feed-forward block made of experts: x -> sum over its top-k of probability x expert(x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.moe is not None
        experts, hidden = config.moe.experts, config.expert_hidden
        self.router = Router(config.width, experts, config.moe.top_k)
        self.up = nn.Parameter(torch.empty(experts, hidden, config.width))
        self.down = nn.Parameter(torch.empty(experts, config.width, hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """(..., D) -> (..., D), and the routing of the N tokens in their order."""
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.router(tokens)
        k = self.router.top_k
        tokens = tokens.to(_matmul_dtype(x))
        multiple = _multiple(tokens, k)
        place, rows = arrange(routing.choice, len(self.up), multiple)
        size = len(place) if multiple == 1 else int(rows.sum())  # a sum would wait for a GPU
        y = _put(tokens if k == 1 else tokens.repeat_interleave(k, 0), place, size)
        y = _take(self.experts(y, rows), place).unflatten(0, (-1, k)) * routing.weight[..., None]
        return (y.squeeze(1) if k == 1 else y.sum(1)).view_as(x), routing

    def experts(self, x: Tensor, rows: Tensor) -> Tensor:
        """(R, D) one expert's rows after the other's, (E,) how many each has -> (R, D)."""
        return grouped_linear(F.gelu(grouped_linear(x, self.up, rows)), self.down, rows)


def arrange(choice: Tensor, experts: int, multiple: int) -> tuple[Tensor, Tensor]:
    """Where each selection (N, K) has its row: (N K,), and how many rows each expert has, (E,).

    An expert's selections keep their order; its rows are rounded up to a `multiple`.
    """
    # (N K, E): how many of the selections up to each one are of each expert.
    ranks = F.one_hot(choice.flatten(), experts).cumsum(0)
    rows = (ranks[-1] + multiple - 1) // multiple * multiple
    places = ranks + (rows.cumsum(0) - rows - 1)
    return places.gather(1, choice.flatten()[:, None]).squeeze(1), rows


def grouped_linear(x: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    """One linear map a group: rows of (N, I), sorted by group, times (G, O, I) -> (N, O).

    `counts` (G,) holds the rows of each group and sums to N. On CUDA in bf16 this is one grouped
    product, which needs no host sync; elsewhere a product a group. It computes in the type of x.
    """
    if x.device.type == "cuda" and x.dtype == torch.bfloat16 and _aligned(weight):
        ends = counts.cumsum(0, dtype=torch.int32)
        product: Tensor = F.grouped_mm(x, weight.to(x.dtype).transpose(-2, -1), offs=ends)
        return product
    result: Tensor = _GroupedLinear.apply(  # type: ignore[no-untyped-call]
        x, weight.to(x.dtype), counts.tolist()
    )
    return result


def balance_loss(routing: Routing) -> Tensor:
    """The auxiliary loss of Switch: E x sum of (share of tokens x mean probability); 1 at uniform.

    Only the probabilities carry a gradient. The share counts every selection, so that it sums to
    one for any top-k.
    """
    share = routing.load() / routing.choice.numel()
    return len(share) * (share * routing.probabilities.mean(0)).sum()


def z_loss(routing: Routing) -> Tensor:
    """The router z-loss of ST-MoE (arXiv:2202.08906): mean squared log-partition of the logits."""
    return routing.logits.logsumexp(-1).square().mean()


class _GroupedLinear(torch.autograd.Function):
    """A loop over groups that writes into one result: no split, cat or stack."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.counts = counts
        y = x.new_empty(len(x), weight.shape[1])
        for rows, out, matrix in zip(x.split(counts), y.split(counts), weight, strict=True):
            torch.mm(rows, matrix.t(), out=out)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_x, grad_weight = torch.empty_like(x), torch.empty_like(weight)
        groups = zip(
            x.split(ctx.counts),
            grad.split(ctx.counts),
            grad_x.split(ctx.counts),
            weight,
            grad_weight,
            strict=True,
        )
        for rows, grad_rows, grad_out, matrix, grad_matrix in groups:
            torch.mm(grad_rows, matrix, out=grad_out)
            torch.mm(grad_rows.t(), rows, out=grad_matrix)
        return grad_x, grad_weight, None


class _Put(torch.autograd.Function):
    """Rows at their places among rows of zeros. No place is taken twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(place)
        return x.new_zeros(size, x.shape[1]).index_copy_(0, place, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (place,) = ctx.saved_tensors
        return grads[0].index_select(0, place), None, None


class _Take(torch.autograd.Function):
    """The rows at places. Its gradient is a copy too; that of indexing would add."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.size = len(x)
        return x.index_select(0, place)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (place,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.size, grad.shape[1]).index_copy_(0, place, grad), None


def _put(x: Tensor, place: Tensor, size: int) -> Tensor:
    result: Tensor = _Put.apply(x, place, size)  # type: ignore[no-untyped-call]
    return result


def _take(x: Tensor, place: Tensor) -> Tensor:
    result: Tensor = _Take.apply(x, place)  # type: ignore[no-untyped-call]
    return result


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """What autocast would give to a product of x; it does not know the grouped ones."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _multiple(tokens: Tensor, top_k: int) -> int:
    """Rows of an expert are rounded up to this, a power of two and at most a 32nd of all.

    oneDNN, which computes bf16 on a CPU, writes a kernel for every shape, which takes half a
    millisecond or more, and keeps the last thousand: with rows of any number it never has them all.
    """
    if tokens.device.type != "cpu" or tokens.dtype != torch.bfloat16:
        return 1
    return 1 << max(0, (len(tokens) * top_k // 32).bit_length() - 1)


def _aligned(weight: Tensor) -> bool:
    """grouped_mm takes rows of whole 16-byte words only."""
    return hasattr(F, "grouped_mm") and not any(size % 8 for size in weight.shape[1:])
