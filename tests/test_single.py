"""One token by `single.read_one` is one token by `GPT.run`: the logits, the experts, the cache."""

import pytest
import torch

from tests.conftest import tiny
from tinygpt.config import MoEConfig
from tinygpt.model import GPT, Cache
from tinygpt.moe import MoE
from tinygpt.single import read_one, suits

MODELS = pytest.mark.parametrize(
    "moe", [None, MoEConfig(experts=5, top_k=1), MoEConfig(experts=5, top_k=2)]
)


def both(model: GPT, prompt: list[int], tokens: list[int]) -> None:
    """Read a prompt, then each token by both ways, and compare."""
    one, many = Cache(model.config), Cache(model.config)
    with torch.inference_mode():
        for cache in (one, many):
            model.run(torch.tensor([prompt]), cache)
        for token in tokens:
            logits, experts = read_one(model, token, one)
            trace = model.run(torch.tensor([[token]]), many)
            torch.testing.assert_close(logits, trace.logits[0, 0], atol=1e-5, rtol=1e-5)
            assert list(experts) == [int(r.choice[0, 0]) for r in trace.routing]
            assert one.position == many.position


@MODELS
def test_equals_the_whole_model_within_the_context_and_past_it(moe: MoEConfig | None) -> None:
    model = tiny(moe=moe).eval()
    made = torch.randint(13, (37,), generator=torch.Generator().manual_seed(3)).tolist()
    both(model, made[:7], made[7:])  # the context is 11: the window slides and its buffer turns
    both(model, made[:1], made[1:])


def test_the_selection_bias_chooses_but_does_not_weigh() -> None:
    model = tiny(moe=MoEConfig(experts=5, top_k=1)).eval()
    for block in model.blocks:
        assert isinstance(block.feed, MoE)
        block.feed.router.bias[3] = 2.0
    both(model, [1, 2, 3], [4, 5, 6])


def test_starts_an_empty_cache() -> None:
    model = tiny().eval()
    with torch.inference_mode():
        logits, experts = read_one(model, 5, Cache(model.config))
        torch.testing.assert_close(logits, model(torch.tensor([[5]]))[0, 0], atol=1e-5, rtol=1e-5)
    assert experts == ()


def test_is_for_one_token_in_fp32_alone() -> None:
    model = tiny()
    assert suits(model, torch.tensor([[1]]))
    assert not suits(model, torch.tensor([[1, 2]]))
    assert not suits(model, torch.tensor([[1], [2]]))
    assert not suits(model.bfloat16(), torch.tensor([[1]]))
