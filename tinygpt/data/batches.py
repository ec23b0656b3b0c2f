"""Random batches that depend only on seed and step, so that resuming needs no generator state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batches:
    """Random windows of the training split, which is held on the device."""

    tokens: Tensor
    """(N,) of any integer type; a small one saves memory with a large corpus."""
    size: int
    """Sequences per micro-batch."""
    context: int
    """Tokens per sequence."""
    accumulate: int
    """Micro-batches per optimizer step."""
    seed: int

    def __call__(self, step: int) -> list[Tensor]:
        """The micro-batches of a step, each (size, context + 1) int64: the inputs, and one more
        token, as the targets are the inputs shifted by one."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        windows = len(self.tokens) - self.context
        starts = torch.from_numpy(random.integers(0, windows, (self.accumulate, self.size, 1)))
        device = self.tokens.device
        if device.type == "cuda":  # from pinned memory, so that the host does not wait
            starts = starts.pin_memory().to(device, non_blocking=True)
        positions = starts.to(device) + torch.arange(self.context + 1, device=device)
        return list(self.tokens[positions].long())
