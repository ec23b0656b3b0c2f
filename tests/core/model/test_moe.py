"""The experts, and known mistakes of other implementations."""

import math
from itertools import accumulate

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers.memory import largest_tensor
from tests.helpers.models import tiny
from tinygpt.model import moe as moe_module
from tinygpt.model.gpt import FeedForward
from tinygpt.model.moe import (
    MoE,
    Router,
    Routing,
    balance_loss,
    dispatch_rows,
    grouped_linear,
    z_loss,
)
from tinygpt.model_config import ModelConfig, MoEConfig
from tinygpt.training.evaluation import RoutingTally


def layer(experts: int = 5, top_k: int = 2, seed: int = 3) -> MoE:
    torch.manual_seed(seed)
    moe = MoE(ModelConfig(width=6, heads=1, hidden=14, moe=MoEConfig(experts=experts, top_k=top_k)))
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter)
    return moe


def by_hand(moe: MoE, x: Tensor) -> Tensor:
    """Token by token, expert by expert."""
    rows = []
    for token in x:
        probabilities = (moe.router.gate @ token).softmax(-1)
        chosen = (probabilities + moe.router.bias).topk(moe.router.top_k).indices
        rows.append(
            sum(probabilities[e] * (moe.down[e] @ F.gelu(moe.up[e] @ token)) for e in chosen)
        )
    return torch.stack(rows)


@pytest.mark.parametrize(("experts", "top_k"), [(4, 1), (5, 2), (1, 1), (7, 7)])
def test_layer_and_its_gradients_against_a_loop(experts: int, top_k: int) -> None:
    moe = layer(experts, top_k)
    x = torch.randn(17, 6, requires_grad=True)
    grad = torch.randn(17, 6)
    y, _ = moe(x)
    found = torch.autograd.grad(y, [x, *moe.parameters()], grad)
    wanted = torch.autograd.grad(by_hand(moe, x), [x, *moe.parameters()], grad)
    torch.testing.assert_close(y, by_hand(moe, x), atol=1e-5, rtol=1e-5)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("top_k", [1, 2])
def test_language_model_loss_alone_teaches_every_gate(top_k: int) -> None:
    """The assignment's gate, and minimind's renormalised top-1 weight, got no gradient."""
    model = tiny(moe=MoEConfig(top_k=top_k, aux_loss=0.0))
    x = torch.randint(13, (3, 11))
    F.cross_entropy(model(x).flatten(0, 1), x.roll(-1, 1).flatten()).backward()
    gates = [p for name, p in model.named_parameters() if name.endswith("gate")]
    assert len(gates) == 3
    for gate in gates:
        assert gate.grad is not None
        assert gate.grad.abs().max() > 1e-6


def test_one_expert_is_the_dense_block() -> None:
    moe = layer(experts=1, top_k=1)
    dense = FeedForward(ModelConfig(width=6, heads=1, hidden=14))
    dense.load_state_dict({"up": moe.up[0], "down": moe.down[0]})
    x = torch.randn(3, 7, 6)
    torch.testing.assert_close(moe(x)[0], dense(x)[0])


def test_order_of_the_experts_does_not_matter() -> None:
    moe, other = layer(), layer()
    order = torch.tensor([3, 0, 4, 1, 2])
    other.load_state_dict(
        {
            "router.gate": moe.router.gate[order],
            "router.bias": moe.router.bias,
            "up": moe.up[order],
            "down": moe.down[order],
        }
    )
    x = torch.randn(19, 6)
    torch.testing.assert_close(moe(x)[0], other(x)[0])


def test_weights_are_the_probabilities_not_renormalised() -> None:
    routing = layer()(torch.randn(11, 6))[1]
    assert torch.equal(routing.weight, routing.probabilities.gather(-1, routing.choice))
    assert (routing.weight.sum(-1) < 1).all()
    assert routing.load().sum() == 22


def test_router_is_fp32_under_autocast() -> None:
    moe = layer()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, routing = moe(torch.randn(7, 6))
    assert routing.logits.dtype == routing.probabilities.dtype == torch.float32
    assert y.dtype == torch.float32


def test_an_expert_without_tokens() -> None:
    moe = layer(experts=4, top_k=1)
    with torch.no_grad():
        moe.router.gate.zero_()
        moe.router.gate[2] = 1.0
    x = torch.ones(7, 6, requires_grad=True)
    y, routing = moe(x)
    assert routing.load().tolist() == [0, 0, 7, 0]
    y.sum().backward()
    assert moe.up.grad is not None
    assert [bool(g.any()) for g in moe.up.grad] == [False, False, True, False]


@given(
    st.integers(1, 7).flatmap(
        lambda experts: st.tuples(
            st.just(experts), st.lists(st.integers(0, experts - 1), min_size=1, max_size=40)
        )
    ),
    st.sampled_from([1, 2, 16]),
)
@settings(max_examples=50)
def test_every_selection_has_a_row_of_its_own(chosen: tuple[int, list[int]], multiple: int) -> None:
    experts, choice = chosen
    places, ends = dispatch_rows(torch.tensor(choice)[:, None], experts, multiple)
    rows = [-(-choice.count(e) // multiple) * multiple for e in range(experts)]
    assert ends.tolist() == list(accumulate(rows))
    starts = [sum(rows[:e]) for e in range(experts)]
    seen = [0] * experts
    for expert, place in zip(choice, places.tolist(), strict=True):
        assert place == starts[expert] + seen[expert]
        seen[expert] += 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
@settings(max_examples=50)
def test_counting_in_a_table_gives_what_sorting_gives(chosen: list[int]) -> None:
    choice = torch.tensor(chosen)[:, None]
    logits = torch.zeros(len(chosen), 5)
    routing = Routing(logits, logits, choice, logits[:, :1])
    wanted, load = dispatch_rows(choice, 5, 1), routing.load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moe_module, "_counts_in_table", lambda *_: True)
        for found, one in zip(dispatch_rows(choice, 5, 1), wanted, strict=True):
            assert torch.equal(found, one)
            assert found.dtype == one.dtype
        assert torch.equal(routing.load(), load)


def test_many_experts_take_no_table_of_all_pairs() -> None:
    """1,024 experts of which each of 768 tokens takes 256 would be 200 million pairs."""
    choice = torch.stack([torch.randperm(1024)[:256] for _ in range(768)])
    with largest_tensor() as seen:
        rows, ends = dispatch_rows(choice, 1024, 4)
    assert seen.numbers <= choice.numel()
    counts = [-(-int((choice == e).sum()) // 4) * 4 for e in range(1024)]
    assert ends.tolist() == list(accumulate(counts))
    assert len(rows.unique()) == choice.numel()


@pytest.mark.parametrize(("experts", "top_k"), [(4, 1), (5, 2), (1, 1), (7, 7)])
def test_in_bf16_with_rounded_rows_against_a_loop(experts: int, top_k: int) -> None:
    moe = layer(experts, top_k)
    x = torch.randn(101, 6, requires_grad=True)  # rows in multiples of 4 and more
    grad = torch.randn(101, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = moe(x)
    found = torch.autograd.grad(y, [x, *moe.parameters()], grad)
    wanted = torch.autograd.grad(by_hand(moe, x), [x, *moe.parameters()], grad)
    for a, b in zip((y, *found), (by_hand(moe, x), *wanted), strict=True):
        assert (a - b).norm() <= 0.02 * b.norm()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5))
@settings(max_examples=30)
def test_grouped_linear_against_one_matmul_per_group(counts: list[int]) -> None:
    x = torch.randn(sum(counts), 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(counts), 2, 3, dtype=torch.float64, requires_grad=True)
    wanted = torch.cat([rows @ m.t() for rows, m in zip(x.split(counts), weight, strict=True)])
    ends = torch.tensor(counts).cumsum(0, dtype=torch.int32)
    assert torch.equal(grouped_linear(x, weight, ends), wanted)
    if sum(counts):
        torch.autograd.gradcheck(lambda a, b: grouped_linear(a, b, ends), (x, weight))


def test_bias_steers_the_selection_and_not_the_weight() -> None:
    router = Router(6, 4, 1)
    torch.nn.init.normal_(router.gate)
    x = torch.randn(101, 6)
    plain = router(x)
    router.bias[1] = 10.0
    steered = router(x)
    assert (steered.choice == 1).all()
    assert torch.equal(steered.probabilities, plain.probabilities)
    assert torch.equal(steered.weight[:, 0], plain.probabilities[:, 1])


def test_rebalance_moves_load_to_idle_experts() -> None:
    torch.manual_seed(1)
    router = Router(6, 4, 1)
    torch.nn.init.normal_(router.gate, std=0.3)
    x = torch.randn(997, 6) + 0.5
    start = router(x).load().max()
    for _ in range(500):
        router.rebalance(router(x).load(), 0.001)
    assert router(x).load().max() < 0.6 * start


def routing_of(choice: list[int], probabilities: list[list[float]]) -> Routing:
    p = torch.tensor(probabilities)
    c = torch.tensor(choice)[:, None]
    return Routing(p.log(), p, c, p.gather(-1, c))


def test_balance_loss_is_one_when_uniform_and_experts_at_worst() -> None:
    uniform = routing_of([0, 1, 2], [[1 / 3] * 3] * 3)
    assert balance_loss(uniform).item() == pytest.approx(1)
    worst = routing_of([1, 1], [[0.0, 1.0, 0.0]] * 2)
    assert balance_loss(worst).item() == pytest.approx(3)


def test_z_loss() -> None:
    logits = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    p = logits.softmax(-1)
    routing = Routing(logits, p, torch.zeros(2, 1, dtype=torch.int64), p[:, :1])
    wanted = (math.log(2) ** 2 + (1 + math.log(2)) ** 2) / 2
    assert z_loss(routing).item() == pytest.approx(wanted)


def test_statistics_over_batches() -> None:
    tally = RoutingTally(tiny(layers=1, moe=MoEConfig(experts=3)).config)
    tally.add([routing_of([0, 0, 1], [[0.5, 0.4, 0.1]] * 3)])
    tally.add([routing_of([1], [[0.1, 0.8, 0.1]])])
    found = tally.statistics()
    assert found.load == [[0.5, 0.5, 0.0]]
    assert found.entropy == [pytest.approx(math.log(2))]
    assert found.worst_over_mean == [pytest.approx(1.5)]
    assert found.mean_top1 == [pytest.approx((0.5 + 0.5 + 0.4 + 0.8) / 4)]
    assert found.dead == [1]
