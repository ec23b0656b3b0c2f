"""The loss without a part of a model, against models whose weights were changed by hand."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.analysis.ablation import (
    ablate,
    exchanged_layers,
    mean_loss,
    next_choice,
    rotated_experts,
    without_expert,
    without_head,
)
from tinygpt.model.gpt import GPT, Block
from tinygpt.model.moe import MoE
from tinygpt.model_config import MoEConfig

WINDOWS = torch.randint(13, (17, 12), generator=torch.Generator().manual_seed(5))
MOES = [MoEConfig(experts=5), MoEConfig(experts=5, top_k=2)]


def block(model: GPT, layer: int) -> Block:
    return list(model.blocks)[layer]


def experts(model: GPT, layer: int) -> MoE:
    feed = block(model, layer).feed
    assert isinstance(feed, MoE)
    return feed


def loss_by_hand(model: GPT) -> float:
    with torch.no_grad():
        logits = model(WINDOWS[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), WINDOWS[:, 1:].flatten()).item()


def unchanged(model: GPT, before: dict[str, Tensor]) -> bool:
    after = model.state_dict()
    return all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("tokens", [1, 30, 4096])
def test_the_mean_loss_does_not_depend_on_the_batches(tokens: int) -> None:
    model = tiny()
    assert mean_loss(model, WINDOWS, tokens) == pytest.approx(loss_by_hand(model), abs=1e-6)


@pytest.mark.parametrize("moe", [None, *MOES])
def test_every_head_and_expert_is_left_out_once(moe: MoEConfig | None) -> None:
    model = tiny(moe=moe)
    before = copy.deepcopy(model.state_dict())
    found = ablate(model, WINDOWS)
    assert unchanged(model, before)
    assert found.loss == pytest.approx(loss_by_hand(model), abs=1e-6)
    assert found.heads.shape == (3, 2)
    for layer, head in np.ndindex(3, 2):
        other = copy.deepcopy(model)
        with torch.no_grad():
            block(other, layer).attention.out[:, 6 * head : 6 * head + 6] = 0
        assert found.heads[layer, head] == pytest.approx(loss_by_hand(other), abs=1e-6)
    assert len({*found.heads.flatten()}) == 6
    if moe is None:
        assert found.experts is None
        return
    assert found.experts is not None
    assert found.experts.shape == (3, 5)
    for layer, expert in np.ndindex(3, 5):
        other = copy.deepcopy(model)
        with torch.no_grad():
            experts(other, layer).down[expert] = 0
        assert found.experts[layer, expert] == pytest.approx(loss_by_hand(other), abs=1e-6)


@pytest.mark.parametrize("moe", MOES)
def test_the_next_choice_is_one_rank_later(moe: MoEConfig) -> None:
    model = tiny(moe=moe)
    for layer in range(3):
        experts(model, layer).router.bias.copy_(torch.tensor([0.3, 0.0, -0.2, 0.1, 0.0]))
    plain = model.run(WINDOWS[:, :-1])
    with next_choice(model):
        changed = model.run(WINDOWS[:, :-1])
    again = model.run(WINDOWS[:, :-1])
    assert torch.equal(plain.logits, again.logits)
    scores = changed.routing[0].probabilities + experts(model, 0).router.bias
    ranked = scores.argsort(-1, descending=True)
    assert torch.equal(plain.routing[0].choice, ranked[:, : moe.top_k])
    assert torch.equal(changed.routing[0].choice, ranked[:, 1 : moe.top_k + 1])
    assert torch.equal(changed.routing[0].weight, plain.routing[0].weight)


def test_exchanged_and_rotated_experts() -> None:
    model = tiny(moe=MOES[0])
    before = copy.deepcopy(model.state_dict())
    first, last = experts(model, 0), experts(model, 2)
    with exchanged_layers(model, 0, 2):
        assert torch.equal(first.up, before["blocks.2.feed.up"])
        assert torch.equal(last.down, before["blocks.0.feed.down"])
        assert torch.equal(first.router.gate, before["blocks.0.feed.router.gate"])
    assert unchanged(model, before)
    with rotated_experts(model, 2):
        assert torch.equal(last.up[1:], before["blocks.2.feed.up"][:-1])
        assert torch.equal(last.down[0], before["blocks.2.feed.down"][-1])
    assert unchanged(model, before)


@pytest.mark.parametrize("context", [without_head, without_expert, exchanged_layers])
def test_an_error_inside_restores_the_model(context: object) -> None:
    model = tiny(moe=MOES[0])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZeroDivisionError), context(model, 1, 0):  # type: ignore[operator]
        raise ZeroDivisionError
    assert unchanged(model, before)
    assert math.isfinite(mean_loss(model, WINDOWS))
