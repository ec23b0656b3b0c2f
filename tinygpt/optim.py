"""Optimizers and schedule: Muon for the matrices inside the blocks, AdamW for everything else.

Muon (Keller Jordan, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix with the
nearest orthogonal matrix, so that all directions are updated at the same speed. Most of its cost is
that orthogonalization, a Newton-Schulz iteration. Here it runs on all matrices of one shape as a
batch, and on the Gram matrix of each, which is square in the shorter side (`orthogonalize`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import unwrap
from itertools import groupby
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor, nn

from tinygpt.config import OptimConfig
from tinygpt.world import ALONE, World

ROUNDS = (
    (8.0934, -23.6204, 17.4462),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)
"""Coefficients (a, b, c) of the quintics ax + bx^3 + cx^5 applied to the singular values, one per
round. Each is optimal for the range that the previous round leaves (Polar Express,
arXiv:2505.16932): singular values of 0.01 to 1 end within 0.73 to 1.27, those of 0.005 at 0.39 and
of 0.001 at 0.08. Jordan's five rounds of one quintic bring 0.003 to 1 within 0.68 to 1.20, and
0.001 to 0.47. The unit is the Frobenius norm of the matrix, so the smallest of 128 singular values
with a condition of 100, evenly spaced, ends at 0.12. In bf16, rounding lifts the largest of a
gradient of rank 2 to at most 1.8, of rank 1 to 2.9 (measured on shapes up to 384 x 1,536)."""


def schedule(fraction: float, warmup: float, config: OptimConfig) -> float:
    """Learning rate as a share of its peak: linear warm-up, constant, linear decay.

    Args:
        fraction: share of the run completed, 0 to 1, by steps or by time.
        warmup: share of the warm-up completed; 1 or more after it.
        config: `decay` is the share of the run with linear decay, `final` the share at its end.
    """
    left = (1 - fraction) / config.decay if config.decay else 1.0
    decay = config.final + (1 - config.final) * min(1.0, left)
    return min(1.0, warmup) * decay


def split_parameters(
    model: nn.Module,
) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """(matrices inside the blocks, all else: embeddings, head, taps, gates of the routers, norms),
    by name; without what is frozen.

    A gate is a matrix too, but it is a classifier with one row per expert; like the head, it trains
    better with AdamW.
    """
    matrices: dict[str, nn.Parameter] = {}
    others: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        inner = name.startswith("blocks.") and parameter.ndim >= 2 and not name.endswith("gate")
        (matrices if inner else others)[name] = parameter
    return matrices, others


def make_optimizers(
    model: nn.Module,
    config: OptimConfig,
    matmul_dtype: torch.dtype = torch.float32,
    world: World = ALONE,
) -> list[UncompiledOptimizer]:
    """The optimizers of a model; each parameter group holds its learning rate and weight decay at
    the peak, for `set_learning_rate`.

    Norms have no decay, nor do the taps of the convolution unless `config.decay_taps` is set: the
    strong decay that keeps the matrices of a run of many epochs from memorising would take the
    preceding characters out of the input. Muon's matmuls are computed in `matmul_dtype`.
    `config.weight_decay` must be a number: see `tinygpt.training.recipe`.
    """
    assert config.weight_decay is not None
    matrices, others = split_parameters(model)
    decayed = {name: p for name, p in others.items() if p.ndim >= 2}
    plain = {name: p for name, p in others.items() if p.ndim < 2}
    optimizers: list[UncompiledOptimizer] = []
    if config.optimizer == "muon":
        optimizers.append(
            Muon(
                matrices.values(),
                lr=config.matrix_learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                matmul_dtype=matmul_dtype,
                world=world,
            )
        )
    else:
        decayed = matrices | decayed
    optimizers.append(
        AdamW(
            _groups(decayed | plain, config),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            fused=True,
        )
    )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"], group["peak_decay"] = group["lr"], group["weight_decay"]
    return optimizers


def _groups(parameters: Mapping[str, nn.Parameter], config: OptimConfig) -> list[dict[str, Any]]:
    """Groups by weight decay. The order stays: checkpoints number the parameters by it."""

    def decays(item: tuple[str, nn.Parameter]) -> bool:
        name, parameter = item
        return parameter.ndim >= 2 and (config.decay_taps or not name.endswith("taps"))

    return [
        {"params": [p for _, p in group], "weight_decay": config.weight_decay if decayed else 0.0}
        for decayed, group in groupby(parameters.items(), decays)
    ]


def set_learning_rate(
    optimizers: Iterable[UncompiledOptimizer], share: float, power: float = 1.0
) -> None:
    """Set every group's learning rate to `share` of its peak, and what the weights lose per step
    to `share` to the `power` of its peak.

    An optimizer multiplies the weight decay by the learning rate, which alone is a power of 1. With
    a lower one, the weights are held closer to zero in the cool-down, when they settle and would
    otherwise fit the training split ever more closely.
    """
    factor = share ** (power - 1) if share else 0.0
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
            group["weight_decay"] = group["peak_decay"] * factor
        if optimizer.rates:
            optimizer.rates.load(optimizer.param_groups)


class DeviceRates:
    """What the schedule changes, as numbers on the device, for the groups of one optimizer.

    An update that is compiled, or captured in a CUDA graph, reads them there. Numbers of the host
    would be constants of its kernels: compiled again for each learning rate, or captured for good.
    """

    def __init__(self, groups: Sequence[dict[str, Any]]) -> None:
        device = next(p.device for group in groups for p in group["params"])
        self.rate = [torch.zeros((), device=device) for _ in groups]
        """Learning rate of each group."""
        self.keep = [torch.zeros((), device=device) for _ in groups]
        """What its weight decay leaves of a weight in one step, as a share."""

    def load(self, groups: Sequence[dict[str, Any]]) -> None:
        """Take over the groups' ``lr`` and ``weight_decay``; does not wait for the device."""
        for group, rate, keep in zip(groups, self.rate, self.keep, strict=True):
            rate.fill_(group["lr"])
            keep.fill_(1 - group["lr"] * group["weight_decay"])


class UncompiledOptimizer(torch.optim.Optimizer):
    """An optimizer that does not import torch.compile, which takes two seconds.

    Torch wraps these methods to exclude them from compilation, and the wrapper imports it.
    """

    rates: DeviceRates | None = None
    """If set, `step` reads learning rates and weight decays here, as last loaded."""
    grad_scale: Tensor | None = None
    """If set (on CUDA), gradients are divided by it; torch's fused AdamW knows it by this name."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all parameters that have a gradient; `closure` is not supported."""
        assert closure is None
        self._take_step()
        return None

    def _take_step(self) -> None:
        raise NotImplementedError


class AdamW(UncompiledOptimizer, torch.optim.AdamW):
    """Torch's AdamW, without the import of torch.compile."""

    _plain_step = unwrap(torch.optim.AdamW.step)

    def _take_step(self) -> None:
        own = self.param_groups
        try:
            if self.rates:
                self.param_groups = self._device_groups(self.rates)
            self._plain_step()
        finally:
            self.param_groups = own

    def _device_groups(self, rates: DeviceRates) -> list[dict[str, Any]]:
        """The groups with their learning rates on the device, and with the decay done already:
        torch takes that from the host only."""
        # Without a GPU, a build with CUDA raises if it is asked.
        capturing = rates.rate[0].is_cuda and torch.cuda.is_current_stream_capturing()
        groups = []
        for group, rate, keep in zip(self.param_groups, rates.rate, rates.keep, strict=True):
            if group["weight_decay"]:
                torch._foreach_mul_([p for p in group["params"] if p.grad is not None], keep)
            groups.append({**group, "lr": rate, "weight_decay": 0.0, "capturable": capturing})
        return groups


class MatrixBatch(NamedTuple):
    """Parameters whose matrices have one shape, as `update_matrices` takes them."""

    parameters: list[Tensor]
    gradients: list[Tensor]
    momenta: list[Tensor]
    momentum: float
    rate: Tensor
    keep: Tensor


class Muon(UncompiledOptimizer):
    """Momentum, orthogonalized. Parameters are (…, O, I): leading axes count separate matrices.

    The update of a matrix is scaled by sqrt(max(1, O / I)), as in Jordan's reference, so that one
    learning rate fits every shape. Weight decay is decoupled. Momentum has the dtype of the
    parameters; the orthogonalization is computed in `matmul_dtype`.

    With ``rates``, a step is one call of ``update``: of `update_matrices`, or of the same compiled.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        matmul_dtype: torch.dtype = torch.float32,
        world: World = ALONE,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._matmul_dtype, self._world = matmul_dtype, world
        self.update: Callable[[list[MatrixBatch], torch.dtype, Tensor | None, World], None] = (
            update_matrices
        )

    def _take_step(self) -> None:
        if self.rates:
            self.update(
                self._device_batches(self.rates),
                self._matmul_dtype,
                self.grad_scale,
                self._world,
            )
            return
        batches = [(p, group) for group in self.param_groups for p in _batches(group)]
        matrices = (self._nesterov(*batch) for batch in batches)
        steps = orthogonalized(matrices, (_scale(*batch) for batch in batches), self._world)
        for batch, of_batch in zip(batches, steps, strict=True):
            self._update(*batch, of_batch)

    def _device_batches(self, rates: DeviceRates) -> list[MatrixBatch]:
        return [
            MatrixBatch(
                parameters,
                [p.grad for p in parameters if p.grad is not None],
                [self._momentum(p) for p in parameters],
                group["momentum"],
                rate,
                keep,
            )
            for group, rate, keep in zip(self.param_groups, rates.rate, rates.keep, strict=True)
            for parameters in _batches(group)
        ]

    def _nesterov(self, parameters: list[Tensor], group: dict[str, Any]) -> Tensor:
        """Their momentum, with the gradient of this step, as one batch of matrices (N, O, I)."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self._momentum(p) for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        rows, columns = parameters[0].shape[-2:]
        counts = [p.numel() // (rows * columns) for p in parameters]
        nesterov = parameters[0].new_empty(sum(counts), rows, columns)
        for grad, momentum, out in zip(gradients, momenta, nesterov.split(counts), strict=True):
            torch.lerp(grad, momentum, group["momentum"], out=out.view_as(grad))
        return nesterov.to(self._matmul_dtype)

    def _update(self, parameters: list[Tensor], group: dict[str, Any], steps: Tensor) -> None:
        targets = _by_parameter(steps, parameters)
        if decay := group["lr"] * group["weight_decay"]:
            torch._foreach_lerp_(parameters, targets, decay)
        else:
            torch._foreach_add_(parameters, targets)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def _scale(parameters: list[Tensor], group: dict[str, Any]) -> float:
    """What the orthogonal matrices of a step are multiplied by, for decay and update in one pass:
    lerp gives (1 - decay) p + decay (-size / decay) direction."""
    size: float = group["lr"] * _aspect(parameters)
    decay = group["lr"] * group["weight_decay"]
    return -size / decay if decay else -size


def update_matrices(
    batches: list[MatrixBatch],
    matmul_dtype: torch.dtype,
    grad_scale: Tensor | None,
    world: World = ALONE,
) -> None:
    """A step of Muon in few launches: no number comes from the host, and no matrix goes alone.

    Gradients are divided by `grad_scale`.
    """
    matrices = (_nesterov(batch, matmul_dtype, grad_scale) for batch in batches)
    scales = (-batch.rate * _aspect(batch.parameters) for batch in batches)
    steps = orthogonalized(matrices, scales, world)
    for batch, of_batch in zip(batches, steps, strict=True):
        torch._foreach_mul_(batch.parameters, batch.keep)
        torch._foreach_add_(batch.parameters, _by_parameter(of_batch, batch.parameters))


def _aspect(parameters: list[Tensor]) -> float:
    """By which an update is larger for matrices with more rows than columns."""
    rows, columns = parameters[0].shape[-2:]
    return float(max(1.0, rows / columns) ** 0.5)


def _by_parameter(matrices: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """One batch of matrices (N, O, I) as tensors of the shapes and type of the parameters."""
    counts = [p.numel() // matrices[0].numel() for p in parameters]
    parts = matrices.to(parameters[0].dtype).split(counts)
    return [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]


def _nesterov(batch: MatrixBatch, matmul_dtype: torch.dtype, grad_scale: Tensor | None) -> Tensor:
    parameters, gradients, momenta, momentum, _, _ = batch
    rows, columns = parameters[0].shape[-2:]
    if grad_scale is not None:
        gradients = list(torch._foreach_mul(gradients, grad_scale.reciprocal()))
    torch._foreach_lerp_(momenta, gradients, 1 - momentum)
    nesterov = torch._foreach_lerp(gradients, momenta, momentum)
    return torch.cat([n.view(-1, rows, columns).to(matmul_dtype) for n in nesterov])


def orthogonalized(
    batches: Iterable[Tensor], scales: Iterable[float | Tensor], world: World
) -> Iterator[Tensor]:
    """`orthogonalize` of each batch of matrices (N, O, I), one after the other.

    Several processes compute a part of each batch for all, and exchange all parts at once.
    """
    if world.size == 1:
        yield from map(orthogonalize, batches, scales)
        return
    every, own = list(batches), []
    for matrices, scale in zip(every, scales, strict=True):
        count = -(-len(matrices) // world.size)
        part = matrices[world.rank * count : (world.rank + 1) * count]
        room = matrices.new_zeros(count, *matrices.shape[1:])
        if len(part):
            room[: len(part)] = orthogonalize(part, scale)
        own.append(room)
    gathered = world.gather(torch.cat([room.flatten() for room in own])[None])
    parts = gathered.split([room.numel() for room in own], 1)
    for matrices, part in zip(every, parts, strict=True):
        yield part.reshape(-1, *matrices.shape[1:])[: len(matrices)]


def orthogonalize(matrices: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    """Roughly the nearest orthogonal matrix to each of (N, O, I), times `scale`.

    Roughly: the singular vectors are kept, and the singular values become about 1.

    The usual iteration X <- (a + b G + c G^2) X, with the Gram matrix G = X Xt, multiplies by the
    whole X in every round. But the next X is P X, where P is a polynomial of G; polynomials of G
    commute, so the next Gram matrix is P G P, and the rounds need only G, which is square in the
    shorter side. They collect Q, the product of all P, which is applied to X once at the end. For a
    matrix of 4:1 this halves the arithmetic.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    gram = x @ x.mT
    # The rounds need singular values of at most 1. None exceeds the Frobenius norm, whose square is
    # the trace of G; dividing G by it, and X only at the end, saves a pass over the matrices.
    square = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp_min(1e-14)
    gram = gram / square
    product: Tensor | None = None  # Q
    for left, (a, b, c) in zip(reversed(range(len(ROUNDS))), ROUNDS, strict=True):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)  # P = a + b G + c G^2
        product = factor if product is None else torch.bmm(product, factor)
        if left:
            gram = torch.bmm(factor, torch.bmm(gram, factor))
    assert product is not None
    x = torch.bmm(product * (scale / square.sqrt()), x)
    return x if wide else x.mT


def _batches(group: dict[str, Any]) -> list[list[Tensor]]:
    """Those with a gradient, by the shape of their matrices, in a fixed order."""
    batches: dict[tuple[int, ...], list[Tensor]] = {}
    for parameter in group["params"]:
        if parameter.grad is not None:
            batches.setdefault(parameter.shape[-2:], []).append(parameter)
    return list(batches.values())
