"""Optimizer state: back exactly, or refused by the name of the tensor."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.config import OptimConfig
from tinygpt.model.gpt import GPT
from tinygpt.model_config import MoEConfig
from tinygpt.optim import UncompiledOptimizer, make_optimizers
from tinygpt.training.optimizer_state import flat_state, load_flat_state


def stepped(model: GPT, optimizer: Literal["muon", "adamw"]) -> list[UncompiledOptimizer]:
    optimizers = make_optimizers(model, OptimConfig(optimizer=optimizer, weight_decay=0.1))
    model(torch.arange(11)[None]).logsumexp(-1).mean().backward()
    for each in optimizers:
        each.step()
    return optimizers


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("moe", [None, MoEConfig()])
def test_back_exactly(optimizer: Literal["muon", "adamw"], moe: MoEConfig | None) -> None:
    flat = flat_state(stepped(tiny(moe=moe), optimizer))
    fresh = make_optimizers(tiny(moe=moe), OptimConfig(optimizer=optimizer, weight_decay=0.1))
    load_flat_state(fresh, flat, 1)
    found = flat_state(fresh)
    assert found.keys() == flat.keys()
    assert all(torch.equal(found[name], flat[name]) for name in flat)
    load_flat_state(fresh, {}, 0)
    assert flat_state(fresh) == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"muon.0.momentum": torch.zeros(2, 12, 13)}, r"muon\.0\.momentum .* \[2, 12, 12\], not "),
        ({"adamw.0.step": torch.zeros(1)}, r"adamw\.0\.step should have the shape \[\], not \[1\]"),
        ({"adamw.0.step": torch.tensor(-1.0)}, r"adamw\.0\.step has a negative number"),
        ({"adamw.0.exp_avg": None}, r"has no adamw\.0\.exp_avg"),
        ({"muon.0.exp_avg": torch.zeros(1)}, r"unknown optimizer state muon\.0\.exp_avg"),
        ({"sgd": torch.zeros(1)}, "unknown optimizer state sgd"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Tensor | None], says: str) -> None:
    optimizers = stepped(tiny(), "muon")
    before = flat_state(optimizers)
    wrong = {name: t for name, t in {**before, **change}.items() if t is not None}
    with pytest.raises(ValueError, match=says):
        load_flat_state(optimizers, wrong, 1)
    after = flat_state(optimizers)
    assert all(torch.equal(after[name], before[name]) for name in before)
