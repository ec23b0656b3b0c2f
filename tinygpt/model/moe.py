"""Mixture of experts: a router sends each token to its top-k experts.

The layer is dropless and exact. Tokens are dispatched to one buffer with the rows of each expert
next to each other, each expert runs one matmul over its own rows, and the outputs are combined:
gathered back to their tokens and scaled by the router's probability (Switch Transformer,
arXiv:2101.03961).

That scale is the only way for a gradient to reach the router, as choosing the top k has none. If
the output were not scaled, or scaled by top-1 weights renormalised to the constant 1, the
language-model loss would never train the router, and the routing would stay random.

Letters: N tokens, D width, E experts, K experts per token, F hidden channels of an expert,
R rows of the dispatch buffer (N x K, plus padding).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.model.precision import at_least_fp32
from tinygpt.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class Routing:
    """The decision of one router for N tokens."""

    logits: Tensor
    """(N, E) fp32, like all probabilities here; fp64 in a model of doubles"""
    probabilities: Tensor
    """(N, E) softmax over all experts"""
    choice: Tensor
    """(N, K) selected experts, int64"""
    weight: Tensor
    """(N, K) probability of each selected expert, not renormalised"""

    def load(self) -> Tensor:
        """(E,) number of tokens routed to each expert; sums to N x K."""
        if _counts_in_table(self.choice, experts := self.logits.shape[-1]):
            every = torch.arange(experts, device=self.choice.device)
            return (self.choice.flatten()[:, None] == every).sum(0, dtype=self.logits.dtype)
        return torch.zeros_like(self.logits[0]).scatter_add_(
            0, self.choice.flatten(), torch.ones_like(self.weight).flatten()
        )


class Router(nn.Module):
    """Scores every expert for every token, in fp32 even under autocast to a lower precision.

    `bias` affects only which experts are selected, never their weight: the auxiliary-loss-free
    balancing of DeepSeek (arXiv:2408.15664). It stays zero unless `rebalance` is called. The gate
    of a router that is not `learned` keeps its initial weights.
    """

    bias: Tensor

    def __init__(self, width: int, experts: int, top_k: int, *, learned: bool = True) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Parameter(torch.empty(experts, width), requires_grad=learned)
        self.register_buffer("bias", torch.zeros(experts))

    def forward(self, x: Tensor) -> Routing:
        """(N, D) -> the routing of each token."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(at_least_fp32(x), self.gate)
            probabilities = logits.softmax(-1)
        scores = probabilities + self.bias
        if self.top_k == 1 and scores.device.type == "cuda":
            choice = scores.argmax(-1, keepdim=True)  # fused by a compiler, where topk is not
        else:
            choice = scores.topk(self.top_k, -1).indices
        return Routing(logits, probabilities, choice, probabilities.gather(-1, choice))

    @torch.no_grad()
    def rebalance(self, load: Tensor, rate: float) -> None:
        """Raise the bias of experts below the mean `load` (E,) by `rate`, lower the others."""
        self.bias += rate * torch.sign(load.mean() - load)


class MoE(nn.Module):
    """A feed-forward layer of experts: x -> sum over the top-k of probability x expert(x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.moe is not None
        experts, hidden = config.moe.experts, config.expert_hidden
        learned = config.moe.router == "learned"
        self.router = Router(config.width, experts, config.moe.top_k, learned=learned)
        self.up = nn.Parameter(torch.empty(experts, hidden, config.width))
        self.down = nn.Parameter(torch.empty(experts, config.width, hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """(..., D) -> (..., D), and the routing of the N tokens, in order."""
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.router(tokens)
        k = self.router.top_k
        tokens = tokens.to(_matmul_dtype(x))
        multiple = _pad_multiple(tokens, k)
        row, ends = dispatch_rows(routing.choice, len(self.up), multiple)
        y = tokens if k == 1 else tokens.repeat_interleave(k, 0)
        if multiple == 1:
            order = inverse(row)
            y = _permute(self.experts(_permute(y, order, row), ends), row, order)
        else:
            y = _gather(self.experts(_dispatch(y, row, int(ends[-1])), ends), row)
        y = y.unflatten(0, (-1, k)) * routing.weight[..., None]
        return (y.squeeze(1) if k == 1 else y.sum(1)).view_as(x), routing

    def experts(self, x: Tensor, ends: Tensor) -> Tensor:
        """Dispatched tokens (R, D), those of expert e before row `ends[e]` -> (R, D)."""
        return grouped_linear(F.gelu(grouped_linear(x, self.up, ends)), self.down, ends)


def dispatch_rows(choice: Tensor, experts: int, multiple: int) -> tuple[Tensor, Tensor]:
    """The row (N K,) of each selection in the dispatch buffer, and the end of each expert's (E,).

    The rows of an expert are contiguous, in token order, and padded to a `multiple`; the end is the
    row after them, an int32. Nothing here waits for a GPU, as bincount would.
    """
    selected = choice.flatten()
    if multiple == 1 and _counts_in_table(choice, experts):
        return _rows_by_table(selected, experts)
    return _rows_by_sort(selected, experts, multiple)


TABLE_EXPERTS = 64
"""Up to so many experts, a GPU counts in a table of all selections and all experts. That takes two
small kernels, where a sort takes eight, and thousands of atomic additions to a few addresses wait
for each other. With many experts the table would take gigabytes."""


def _counts_in_table(choice: Tensor, experts: int) -> bool:
    return choice.device.type == "cuda" and experts <= TABLE_EXPERTS


def _rows_by_table(selected: Tensor, experts: int) -> tuple[Tensor, Tensor]:
    # The table has the selections of an expert next to each other in memory, one expert after the
    # other, as the buffer has. So one running count over all of it gives rows, without an offset.
    chosen = selected == torch.arange(experts, device=selected.device)[:, None]  # (E, N K)
    running = chosen.flatten().cumsum(0, dtype=torch.int32).view_as(chosen)
    ends = running[:, -1].contiguous()  # a grouped matmul ignores strides
    return running.gather(0, selected[None])[0].long() - 1, ends


def _rows_by_sort(selected: Tensor, experts: int, multiple: int) -> tuple[Tensor, Tensor]:
    # A stable sort puts the selections in the order of their rows; only the padding of the experts
    # before is missing. It takes no more memory with many experts.
    ordered, order = selected.sort(stable=True)
    counts = selected.new_zeros(experts).scatter_add_(0, selected, torch.ones_like(selected))
    padded = (counts + multiple - 1) // multiple * multiple
    padding = padded - counts
    rows = torch.arange(len(selected), device=selected.device)
    rows += (padding.cumsum(0) - padding).gather(0, ordered)
    ends = padded.cumsum(0, dtype=torch.int32)
    return torch.empty_like(selected).scatter_(0, order, rows), ends


def inverse(permutation: Tensor) -> Tensor:
    """The inverse of a permutation of int64, as int32: a compiler fuses that, but not int64."""
    places = torch.arange(len(permutation), dtype=torch.int32, device=permutation.device)
    return torch.empty_like(places).scatter_(0, permutation, places)


def grouped_linear(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """One linear map per group: rows (R, I), sorted by group, times weights (G, O, I) -> (R, O).

    The rows of group g end before row `ends[g]`: (G,) int32, the last one R. In bf16 on CUDA this
    is one grouped matmul, which needs no host sync; elsewhere one matmul per group. The result has
    the type of x.
    """
    if x.device.type == "cuda" and x.dtype == torch.bfloat16 and _supports_grouped_mm(weight):
        product: Tensor = F.grouped_mm(x, weight.to(x.dtype).transpose(-2, -1), offs=ends)
        return product
    counts = [end - start for start, end in pairwise([0, *ends.tolist()])]
    result: Tensor = _GroupedLinear.apply(  # type: ignore[no-untyped-call]
        x, weight.to(x.dtype), counts
    )
    return result


def balance_loss(routing: Routing, load: Tensor | None = None) -> Tensor:
    """The auxiliary loss of Switch: E x sum of (share of tokens x mean probability); 1 if uniform.

    Only the probabilities carry a gradient. The share is of all selections, so that it sums to one
    for any top-k. With the `load` (E,) of a larger batch, of which this is an equal part, the mean
    over all parts is the loss of that batch.
    """
    load = routing.load() if load is None else load
    share = load / load.sum()
    return len(share) * (share * routing.probabilities.mean(0)).sum()


def z_loss(routing: Routing) -> Tensor:
    """The router z-loss of ST-MoE (arXiv:2202.08906): mean squared log-partition of the logits."""
    return routing.logits.logsumexp(-1).square().mean()


class _GroupedLinear(torch.autograd.Function):
    """One matmul per group, each written into its slice of one result: nothing is concatenated."""

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


class _Permute(torch.autograd.Function):
    """The rows of x in the order of `index`, whose inverse undoes it. So the gradient is gathered
    too: there is nothing to add up, as in ordinary indexing, and nothing to fill with zeros."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return grads[0].index_select(0, inverse), None, None


class _Dispatch(torch.autograd.Function):
    """Copies each token to its row of a buffer with gaps, which are zero. No two share a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, row: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(row)
        return x.new_zeros(size, x.shape[1]).index_copy_(0, row, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (row,) = ctx.saved_tensors
        return grads[0].index_select(0, row), None, None


class _Gather(torch.autograd.Function):
    """The inverse of `_Dispatch`. As no row is read twice, its gradient is a plain copy, which is
    faster than the scatter-add of ordinary indexing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, row: Tensor) -> Tensor:
        ctx.save_for_backward(row)
        ctx.size = len(x)
        return x.index_select(0, row)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (row,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.size, grad.shape[1]).index_copy_(0, row, grad), None


def _permute(x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    result: Tensor = _Permute.apply(x, index, inverse)  # type: ignore[no-untyped-call]
    return result


def _dispatch(x: Tensor, row: Tensor, size: int) -> Tensor:
    result: Tensor = _Dispatch.apply(x, row, size)  # type: ignore[no-untyped-call]
    return result


def _gather(x: Tensor, row: Tensor) -> Tensor:
    result: Tensor = _Gather.apply(x, row)  # type: ignore[no-untyped-call]
    return result


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """The type that autocast would use for a matmul of x; it does not know grouped matmuls."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _pad_multiple(tokens: Tensor, top_k: int) -> int:
    """The rows of each expert are padded to this: a power of two, at most 1/32 of all rows.

    oneDNN, which runs bf16 matmuls on a CPU, compiles a kernel for every shape, which takes half a
    millisecond or more, and caches the last thousand. Without padding nearly every shape is new.
    """
    if tokens.device.type != "cpu" or tokens.dtype != torch.bfloat16:
        return 1
    return 1 << max(0, (len(tokens) * top_k // 32).bit_length() - 1)


def _supports_grouped_mm(weight: Tensor) -> bool:
    """grouped_mm needs rows of whole 16-byte words."""
    return hasattr(F, "grouped_mm") and not any(size % 8 for size in weight.shape[1:])
