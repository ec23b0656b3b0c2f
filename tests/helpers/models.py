"""Tiny models and a tiny corpus; sizes are distinct, so that a swapped axis fails."""

import torch

from tinygpt.model.gpt import GPT
from tinygpt.model_config import ModelConfig, MoEConfig

TEXT = (
    "ROMEO:\nBut, soft! what light through yonder window breaks?\n"
    "It is the east, and Juliet is the sun.\n\n"
    "JULIET:\nO Romeo, Romeo! wherefore art thou Romeo?\nDeny thy father & refuse thy name-\n\n"
) * 7


def tiny(*, moe: MoEConfig | None = None, seed: int = 0, **changes: int | float) -> GPT:
    """3 layers, 2 heads of width 6, a context of 11, a vocabulary of 13, no tied embeddings; all
    weights are random."""
    shape: dict[str, int | float] = {
        "layers": 3,
        "heads": 2,
        "width": 12,
        "context": 11,
        "vocab_size": 13,
        "hidden": 34,
        **changes,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT(ModelConfig(**shape, moe=moe))  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():  # zero, which would make the block the identity
                    parameter.normal_(std=0.3)
    return model
