"""Optimizers and schedule: Muon for the matrices inside the blocks, AdamW for everything else.

Muon (Keller Jordan, kellerjordan.github.io/posts/muon) replaces the gradient's momentum by the
nearest orthogonal matrix, so that every direction learns at the same speed. Its cost is in that
step, a Newton-Schulz iteration; here it runs once for all matrices of one shape, and on the small
square of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import unwrap
from typing import Any, overload

import torch
from torch import Tensor, nn

from tinygpt.config import OptimConfig

ROUNDS = (
    (8.0934, -23.6204, 17.4462),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)
"""The best quintic of each round for singular values from 0.01 to 1, each for what the one before
made of them (Polar Express, arXiv:2505.16932): they end within 0.73 to 1.27. Jordan's five rounds
of one quintic end within 0.7 to 1.2."""


def schedule(fraction: float, warmup: float, config: OptimConfig) -> float:
    """Learning rate as a share of its peak: linear warm-up, constant, linear decay.

    Args:
        fraction: of the run that is done, 0 to 1, by steps or by time.
        warmup: share of the warm-up that is done, 1 once it is over.
        config: its `decay` is the share of the run that decays, to `final`.
    """
    left = (1 - fraction) / config.decay if config.decay else 1.0
    decay = config.final + (1 - config.final) * min(1.0, left)
    return min(1.0, warmup) * decay


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(matrices inside the blocks, everything else: embeddings, head, routers' gates, norms).

    A gate is a matrix too, but its rows are E class vectors: like the head's, they want AdamW.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = name.startswith("blocks.") and parameter.ndim >= 2 and not name.endswith("gate")
        (matrices if inner else others).append(parameter)
    return matrices, others


def make_optimizers(
    model: nn.Module, config: OptimConfig, matmul_dtype: torch.dtype = torch.float32
) -> list[torch.optim.Optimizer]:
    """The optimizers of a model; each group carries its peak learning rate as ``peak``.

    Muon's products are computed in `matmul_dtype`.
    """
    matrices, others = split_parameters(model)
    decayed = [p for p in others if p.ndim >= 2]
    plain = [p for p in others if p.ndim < 2]
    optimizers: list[torch.optim.Optimizer] = []
    if config.optimizer == "muon":
        optimizers.append(
            Muon(
                matrices,
                lr=config.matrix_learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                matmul_dtype=matmul_dtype,
            )
        )
    else:
        decayed = matrices + decayed
    optimizers.append(
        AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            fused=True,
        )
    )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_learning_rate(optimizers: Iterable[torch.optim.Optimizer], share: float) -> None:
    """Set every group's learning rate to `share` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share


class UncompiledOptimizer(torch.optim.Optimizer):
    """An optimizer whose making and saving do not import torch's compiler.

    Torch guards these methods against being compiled, and the guard imports all of torch.compile,
    which takes two seconds.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(UncompiledOptimizer, torch.optim.AdamW):
    """Torch's own."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class Muon(UncompiledOptimizer):
    """Momentum, made orthogonal. Parameters are (…, O, I): leading axes are that many matrices.

    The update of a matrix is scaled by sqrt(max(1, O / I)), as in Jordan's reference, so that one
    learning rate fits every shape. Weight decay is decoupled. Momentum and weights are of the
    parameters' type, the products that orthogonalise of `matmul_dtype`.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        matmul_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._matmul_dtype = matmul_dtype

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; `closure` is not supported."""
        assert closure is None
        for group in self.param_groups:
            for parameters in _batches(p for p in group["params"] if p.grad is not None):
                self._update(parameters, group)
        return None

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self._momentum(p) for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        rows, columns = parameters[0].shape[-2:]
        counts = [p.numel() // (rows * columns) for p in parameters]
        ahead = parameters[0].new_empty(sum(counts), rows, columns)  # Nesterov's
        for gradient, momentum, place in zip(gradients, momenta, ahead.split(counts), strict=True):
            torch.lerp(gradient, momentum, group["momentum"], out=place.view_as(gradient))
        size = group["lr"] * max(1.0, rows / columns) ** 0.5
        decay = group["lr"] * group["weight_decay"]
        # Decay and step at once: p becomes (1 - decay) p + decay x (-size / decay) direction.
        steps = orthogonalize(ahead.to(self._matmul_dtype), -size / decay if decay else -size)
        parts = steps.to(ahead.dtype).split(counts)
        targets = [s.view_as(p) for s, p in zip(parts, parameters, strict=True)]
        if decay:
            torch._foreach_lerp_(parameters, targets, decay)
        else:
            torch._foreach_add_(parameters, targets)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalize(matrices: Tensor, scale: float = 1.0) -> Tensor:
    """The nearest orthogonal matrix of each of (N, O, I), roughly: singular values near 1.

    All times `scale`.

    The usual iteration X <- (a + b X Xt + c (X Xt)^2) X multiplies the full matrix in each round.
    Every round is a polynomial in G = X Xt, and polynomials in one matrix commute, so it is enough
    to iterate on G, which is square in the shorter side, to collect the product Q of the rounds,
    and to apply that to X once. For a 4:1 matrix that is half of the arithmetic.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    gram = x @ x.mT
    # No singular value exceeds the norm, whose square is the trace: dividing the small square by it
    # saves a pass over the matrices.
    square = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp_min(1e-14)
    gram = gram / square
    total: Tensor | None = None
    for left, (a, b, c) in zip(reversed(range(len(ROUNDS))), ROUNDS, strict=True):
        turn = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        turn.diagonal(dim1=-2, dim2=-1).add_(a)
        total = turn if total is None else torch.bmm(total, turn)
        if left:
            gram = torch.bmm(turn, torch.bmm(gram, turn))
    assert total is not None
    x = torch.bmm(total * (scale / square.sqrt()), x)
    return x if wide else x.mT


def _batches(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters whose matrices are of one shape, in a fixed order."""
    batches: dict[tuple[int, ...], list[Tensor]] = {}
    for parameter in parameters:
        batches.setdefault(parameter.shape[-2:], []).append(parameter)
    return list(batches.values())
