"""Batches that depend on the seed and the step alone, so that resuming needs no generator state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batches:
    """Windows at random places of the training split, which lies on the device whole."""

    tokens: Tensor
    """(N,) of any type of whole numbers: the smaller, the less memory a large corpus takes"""
    size: int
    """Sequences a micro-batch."""
    context: int
    """Tokens a sequence."""
    accumulate: int
    """Micro-batches an optimizer step."""
    seed: int

    def __call__(self, step: int) -> list[Tensor]:
        """The micro-batches of a step, (size, context + 1) int64 each: inputs, and targets one
        later."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        windows = len(self.tokens) - self.context
        starts = torch.from_numpy(random.integers(0, windows, (self.accumulate, self.size, 1)))
        device = self.tokens.device
        if device.type == "cuda":  # from pinned memory, so that the host need not wait
            starts = starts.pin_memory().to(device, non_blocking=True)
        places = starts.to(device) + torch.arange(self.context + 1, device=device)
        return list(self.tokens[places].long())
