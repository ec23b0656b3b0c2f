"""Which preset suits a device, and the shape of the largest."""

import pytest
import torch

from tinygpt.config import build
from tinygpt.model.gpt import GPT
from tinygpt.presets import preset_for

GPT2_VOCABULARY = 50_304
"""Its 50,257 tokens, rounded up to a multiple of 64."""


def test_a_gpu_trains_a_larger_preset() -> None:
    assert [preset_for(device) for device in ("cpu", "cuda", "mps")] == ["nano", "baby", "nano"]


@pytest.mark.parametrize(
    ("variant", "total", "active"),
    [("dense", 123_589_632, 123_589_632), ("moe", 293_495_808, 123_626_496)],
)
def test_small_has_the_shape_of_gpt2(variant: str, total: int, active: int) -> None:
    """Dense: 124 million, without 786,432 for positions and 102,144 biases, with 2,304 taps."""
    config = build({"preset": "small"}).model_config(variant, GPT2_VOCABULARY)
    assert (config.layers, config.heads, config.width, config.context) == (12, 12, 768, 1024)
    assert config.tied
    with torch.device("meta"):
        model = GPT(config)
    assert model.parameter_counts() == config.parameters() == (total, active)
    weights = model.state_dict()
    assert sum(tensor.numel() for tensor in weights.values()) == config.stored_numbers()
    assert weights["embed.weight"].shape == model.head_weight.shape == (GPT2_VOCABULARY, 768)
    assert [tensor.shape for name, tensor in weights.items() if name.endswith("feed.up")] == [
        (3072, 768) if variant == "dense" else (4, 3072, 768)
    ] * 12
