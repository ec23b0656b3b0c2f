"""Compares a single-token decoder with `GPT.run`: the logits, the experts, the cache."""

import pytest
import torch

from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder
from tinygpt.generation.numpy_decoder import NumpyDecoder
from tinygpt.model.gpt import GPT
from tinygpt.model.kv_cache import Cache
from tinygpt.model_config import MoEConfig

TIES = pytest.mark.parametrize("tied", [False, True])
MODELS = pytest.mark.parametrize(
    "moe", [None, MoEConfig(experts=5, top_k=1), MoEConfig(experts=5, top_k=2)]
)


def assert_matches_model(
    decoder: NumpyDecoder | CudaGraphDecoder, model: GPT, prompt: list[int], tokens: list[int]
) -> None:
    """Run a prompt, then each token both ways, and compare."""
    device = model.device
    one, many = Cache(model.config), Cache(model.config)
    found, wanted = [], []
    with torch.inference_mode():
        for cache in (one, many) if prompt else ():
            model.run(torch.tensor([prompt], device=device), cache)
        for token in tokens:
            logits, experts = decoder.step(token, one)
            trace = model.run(torch.tensor([[token]], device=device), many)
            found.append(logits.clone())
            wanted.append(trace.logits[0, 0].cpu())
            assert list(experts) == [int(r.choice[0, 0]) for r in trace.routing]
            assert one.position == many.position
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted), atol=1e-5, rtol=1e-5)
