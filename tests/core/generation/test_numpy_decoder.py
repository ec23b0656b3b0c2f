"""`NumpyDecoder` equals `GPT.run`."""

import torch

from tests.helpers.decoders import MODELS, TIES, assert_matches_model
from tests.helpers.models import tiny
from tinygpt.generation.numpy_decoder import NumpyDecoder, is_supported
from tinygpt.model.kv_cache import Cache
from tinygpt.model.moe import MoE
from tinygpt.model_config import MoEConfig


@MODELS
@TIES
def test_equals_the_whole_model_within_the_context_and_past_it(
    moe: MoEConfig | None, *, tied: bool
) -> None:
    model = tiny(moe=moe, tie_embeddings=tied).eval()
    made = torch.randint(13, (29,), generator=torch.Generator().manual_seed(3)).tolist()
    # The context is 11: the window slides, and moves to the front of its buffer.
    assert_matches_model(NumpyDecoder(model), model, made[:7], made[7:])
    assert_matches_model(NumpyDecoder(model), model, made[:1], made[1:])


def test_the_selection_bias_chooses_but_does_not_weigh() -> None:
    model = tiny(moe=MoEConfig(experts=5, top_k=1)).eval()
    for block in model.blocks:
        assert isinstance(block.feed, MoE)
        block.feed.router.bias[3] = 2.0
    assert_matches_model(NumpyDecoder(model), model, [1, 2, 3], [4, 5, 6])


def test_starts_an_empty_cache() -> None:
    model = tiny().eval()
    with torch.inference_mode():
        logits, experts = NumpyDecoder(model).step(5, Cache(model.config))
        torch.testing.assert_close(logits, model(torch.tensor([[5]]))[0, 0], atol=1e-5, rtol=1e-5)
    assert experts == ()


def test_keeps_the_weights_of_when_it_was_made() -> None:
    model = tiny(moe=MoEConfig(experts=5, top_k=1)).eval()
    with torch.inference_mode():
        expected = model(torch.tensor([[5]]))[0, 0]
    decoder = NumpyDecoder(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    logits, _ = decoder.step(5, Cache(model.config))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_is_for_fp32() -> None:
    assert is_supported(tiny())
    assert not is_supported(tiny().bfloat16())
