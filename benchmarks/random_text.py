"""A model to take optimizer steps with, on random text: the time of a step depends on no text."""

from __future__ import annotations

import torch

from tinygpt.config import RunConfig
from tinygpt.data.batches import Batches
from tinygpt.training.learner import Learner
from tinygpt.training.recipe import with_recipe

VOCAB_SIZE = 65
"""That of tinyshakespeare."""
TOKENS = 1_000_000


def learner_and_batches(config: RunConfig, variant: str) -> tuple[Learner, Batches]:
    """A variant before its first step, on the CPU, and its batches."""
    config, _ = with_recipe(config, TOKENS, VOCAB_SIZE, "cpu")
    tokens = torch.randint(VOCAB_SIZE, (TOKENS,), generator=torch.Generator().manual_seed(1))
    batches = Batches(tokens, config.train.batch, config.gpt.context, 1, 1)
    return Learner(variant, config, VOCAB_SIZE, "cpu"), batches
