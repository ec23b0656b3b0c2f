"""Muon, the schedule, and which parameter goes where."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.config import OptimConfig
from tinygpt.model_config import MoEConfig
from tinygpt.optim import (
    ROUNDS,
    AdamW,
    DeviceRates,
    Muon,
    make_optimizers,
    orthogonalize,
    orthogonalized,
    schedule,
    set_learning_rate,
    split_parameters,
    update_matrices,
)
from tinygpt.world import World


@pytest.mark.parametrize("shape", [(3, 7, 13), (2, 13, 7), (5, 11, 11)])
def test_orthogonalize_levels_singular_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalize(matrices)
    values = torch.linalg.svdvals(found)
    assert 0.5 < values.min() < values.max() < 1.3
    # The same directions: in the basis of the original it is diagonal.
    inner = u.mT @ found @ vt.mT
    torch.testing.assert_close(
        inner, torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1)), atol=1e-4, rtol=0
    )


def test_rounds_take_every_singular_value_near_one() -> None:
    values = torch.linspace(0.01, 1, 10_007, dtype=torch.float64)
    for a, b, c in ROUNDS:
        values = a * values + b * values**3 + c * values**5
    assert 0.725 < values.min() < values.max() < 1.275


def test_small_singular_values_stay_small() -> None:
    values = torch.tensor([0.005, 0.001], dtype=torch.float64)
    for a, b, c in ROUNDS:
        values = a * values + b * values**3 + c * values**5
    torch.testing.assert_close(values, torch.tensor([0.385, 0.078]).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rank", "most"), [(1, 2.9), (2, 1.8), (3, 1.4)])
def test_bf16_lifts_the_few_singular_values_of_a_low_rank(rank: int, most: float) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(7, 128, rank) @ torch.randn(7, rank, 509)
    values = torch.linalg.svdvals(orthogonalize(matrices.bfloat16()).float())
    assert values.isfinite().all()
    assert 1.0 < values.max() < most


def test_a_gradient_of_zero_stays_zero() -> None:
    assert not orthogonalize(torch.zeros(2, 5, 7)).any()


def test_gram_iteration_equals_the_usual_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, 29, dtype=torch.float64)
    wanted = x / x.norm(dim=(-2, -1), keepdim=True)
    for a, b, c in ROUNDS:
        gram = wanted @ wanted.mT
        wanted = a * wanted + (b * gram + c * gram @ gram) @ wanted
    torch.testing.assert_close(orthogonalize(x), wanted, atol=1e-5, rtol=1e-5)


def test_stacked_matrices_are_updated_as_if_alone() -> None:
    torch.manual_seed(0)
    start, grad = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
    stacked = torch.nn.Parameter(start.clone())
    apart = [torch.nn.Parameter(m.clone()) for m in start]
    for parameters, gradients in (([stacked], [grad]), (apart, list(grad))):
        optimizer = Muon(parameters, lr=0.1, weight_decay=0.3)
        for _ in range(3):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(stacked.data, torch.stack([p.data for p in apart]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bf16_levels_singular_values_as_well(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = orthogonalize(torch.randn(3, 37, 101).to(dtype))
    assert found.dtype == dtype
    values = torch.linalg.svdvals(found.float())
    assert 0.7 < values.min() < values.max() < 1.35


def test_matrices_updated_together_are_as_each_alone() -> None:
    torch.manual_seed(0)
    shapes = [(5, 7), (3, 5, 7), (7, 5), (5, 7), (2, 7, 5)]
    start = [torch.randn(shape) for shape in shapes]

    def updated(*some: torch.Tensor) -> list[torch.nn.Parameter]:
        parameters = [torch.nn.Parameter(x.clone()) for x in some]
        for parameter in parameters:
            parameter.grad = parameter.data.sin()
        Muon(parameters, lr=0.1, weight_decay=0.3).step()
        return parameters

    for together, before in zip(updated(*start), start, strict=True):
        torch.testing.assert_close(together, updated(before)[0])


def test_muon_against_a_hand_written_step() -> None:
    torch.manual_seed(0)
    start, grad = torch.randn(7, 5), torch.randn(7, 5)
    parameter = torch.nn.Parameter(start.clone())
    parameter.grad = grad.clone()
    Muon([parameter], lr=0.1, momentum=0.9, weight_decay=0.2).step()
    momentum = 0.1 * grad
    direction = orthogonalize((0.1 * grad + 0.9 * momentum)[None])[0]
    wanted = start * (1 - 0.1 * 0.2) - 0.1 * (7 / 5) ** 0.5 * direction
    torch.testing.assert_close(parameter.data, wanted)


def test_split_covers_everything_once() -> None:
    model = tiny(moe=MoEConfig())
    matrices, others = split_parameters(model)
    assert sorted([*matrices, *others]) == sorted(dict(model.named_parameters()))
    leaves = [{name.rpartition(".")[2] for name in part} for part in (matrices, others)]
    assert leaves[0] == {"query_key", "value", "out", "up", "down"}
    assert leaves[1] == {"weight", "taps", "head", "gate"}


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_tied_embeddings_are_in_one_group_of_adamw(kind: str) -> None:
    model = tiny(tie_embeddings=True)
    config = OptimConfig(optimizer=kind, weight_decay=0.3)  # type: ignore[arg-type]
    *_, adamw = make_optimizers(model, config)
    assert isinstance(adamw, AdamW)
    with_it = [g for g in adamw.param_groups if any(p is model.embed.weight for p in g["params"])]
    (group,) = with_it
    assert sum(p is model.embed.weight for p in group["params"]) == 1
    assert (group["peak"], group["peak_decay"]) == (config.learning_rate, 0.3)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_either_optimizer_alone_has_every_parameter(kind: str) -> None:
    model = tiny(moe=MoEConfig())
    optimizers = make_optimizers(model, OptimConfig(optimizer=kind, weight_decay=0.1))  # type: ignore[arg-type]
    grouped = [p for o in optimizers for group in o.param_groups for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(model.parameters()))
    assert len(optimizers) == (2 if kind == "muon" else 1)


@pytest.mark.parametrize(
    ("fraction", "warmup", "wanted"),
    [
        (0.0, 0.25, 0.25),
        (0.1, 1.0, 1.0),
        (0.4, 5.0, 1.0),
        (0.7, 5.0, 0.55),
        (1.0, 5.0, 0.1),
    ],
)
def test_schedule(fraction: float, warmup: float, wanted: float) -> None:
    config = OptimConfig(decay=0.6, final=0.1)
    assert schedule(fraction, warmup, config) == pytest.approx(wanted)


def test_schedule_without_decay() -> None:
    assert schedule(0.99, 1, OptimConfig(decay=0)) == 1


def stepped(numbers: str) -> list[torch.nn.Parameter]:
    """Parameters after five steps of Muon, in groups of different decay, and of AdamW, at rates
    that fall, with gradients of 3 times the wanted size, and with `numbers` of host or device."""
    torch.manual_seed(0)
    shapes = [(5, 7), (3, 5, 7), (7, 5), (5, 7), (2, 7, 5), (7,)]
    *matrices, row, vector = parameters = [torch.nn.Parameter(torch.randn(s)) for s in shapes]
    groups: list[dict[str, Any]] = [
        {"params": matrices[:2], "weight_decay": 0.7},
        {"params": matrices[2:]},
    ]
    other = [{"params": [row], "weight_decay": 0.5}, {"params": [vector], "weight_decay": 0.0}]
    optimizers = (Muon(groups, lr=0.3), AdamW(other, lr=0.2, fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"], group["peak_decay"] = group["lr"], group["weight_decay"]
        if numbers == "device":
            optimizer.rates = DeviceRates(optimizer.param_groups)
            optimizer.grad_scale = torch.tensor(3.0)
    for step in range(5):
        set_learning_rate(optimizers, 0.8**step)
        for parameter in parameters:
            parameter.grad = (parameter.data.sin() + step) * (3 if numbers == "device" else 1)
        for optimizer in optimizers:
            optimizer.step()
    return parameters


def test_numbers_on_the_device_give_the_same_steps() -> None:
    for found, wanted in zip(stepped("device"), stepped("host"), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_the_step_of_muon_is_compiled_once_for_all_rates() -> None:
    compiled: list[int] = []

    def count(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., object]:
        compiled.append(len(graph.graph.nodes))
        return graph.forward

    torch.manual_seed(0)
    update = torch.compile(update_matrices, backend=count, fullgraph=True, dynamic=False)
    start, grad = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    moved = []
    for each in (update_matrices, update):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = Muon([parameter], lr=0.1, weight_decay=0.3)
        optimizer.param_groups[0].update(peak=0.1, peak_decay=0.3)
        optimizer.rates, optimizer.update = DeviceRates(optimizer.param_groups), each
        for rate in (0.5, 1.0, 0.3):
            set_learning_rate([optimizer], rate)
            parameter.grad = grad.clone()
            optimizer.step()
        moved.append(parameter.detach())
    assert len(compiled) == 1
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize(("power", "lost"), [(1.0, 0.25), (0.5, 0.5), (0.0, 1.0)])
def test_what_a_step_takes_from_the_weights_falls_with_a_power_of_the_rate(
    power: float, lost: float
) -> None:
    """A gradient of zero leaves the decay alone to change the weights."""
    model = tiny()
    config = OptimConfig(weight_decay=0.3, matrix_learning_rate=0.1, learning_rate=0.07)
    optimizers = make_optimizers(model, config)
    weights = dict(model.named_parameters())
    matrix, embedding = weights["blocks.0.attention.value"], weights["embed.weight"]
    before = matrix.detach().clone(), embedding.detach().clone()
    set_learning_rate(optimizers, 0.25, power)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    torch.testing.assert_close(matrix, (1 - 0.1 * 0.3 * lost) * before[0])
    torch.testing.assert_close(embedding, (1 - 0.07 * 0.3 * lost) * before[1])


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("taps", [False, True])
def test_norms_and_taps_do_not_decay(kind: str, *, taps: bool) -> None:
    model = tiny(moe=MoEConfig())
    config = OptimConfig(optimizer=kind, weight_decay=0.7, decay_taps=taps)  # type: ignore[arg-type]
    names = {id(p): name for name, p in model.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"]
        for optimizer in make_optimizers(model, config)
        for group in optimizer.param_groups
        for p in group["params"]
    }
    spared = {name for name in names.values() if "norm" in name or (not taps and "taps" in name)}
    assert decays == {name: 0.0 if name in spared else 0.7 for name in names.values()}


def test_a_rate_of_zero_changes_nothing() -> None:
    model = tiny()
    optimizers = make_optimizers(model, OptimConfig(weight_decay=0.3))
    matrix = dict(model.named_parameters())["blocks.0.attention.value"]
    before = matrix.detach().clone()
    set_learning_rate(optimizers, 0.0, 0.5)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(matrix, before)


class OneOfThree(World):
    """Has the parts of the others."""

    size = 3

    def __init__(self, rank: int, parts: list[Tensor]) -> None:
        self.rank, self.parts = rank, parts

    def gather(self, part: Tensor) -> Tensor:
        self.parts.append(part)
        return torch.cat(self.parts) if len(self.parts) == self.size else part.repeat(3, 1)


def test_matrices_shared_by_processes_are_those_of_one() -> None:
    generator = torch.Generator().manual_seed(3)
    shapes, scales = ((1, 5, 7), (5, 2, 3), (7, 3, 3)), (0.5, 0.25, 1.0)
    batches = [torch.randn(shape, generator=generator) for shape in shapes]
    parts: list[Tensor] = []
    for rank in range(3):
        shared = [*orthogonalized(batches, scales, OneOfThree(rank, parts))]
    for found, matrices, scale in zip(shared, batches, scales, strict=True):
        torch.testing.assert_close(found, orthogonalize(matrices, scale))
