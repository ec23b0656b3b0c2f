"""Random batches that depend only on seed and step, so that resuming needs no generator state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WINDOWS_HELD = 2048
"""Windows that are read before the memory that reading a file takes is given back: 130 MB, as the
system maps 64 KiB around each place."""


@dataclass(frozen=True, slots=True)
class Batches:
    """Random windows of the training split, which is held on the device, or in a file."""

    tokens: Tensor
    """(N,) of any integer type; a small one saves memory with a large corpus."""
    size: int
    """Sequences per micro-batch."""
    context: int
    """Tokens per sequence."""
    accumulate: int
    """Micro-batches per optimizer step."""
    seed: int
    device: str | None = None
    """Where the batches go, if not where the tokens are."""
    release: Callable[[], None] = lambda: None
    """See `Encoded.release`."""
    share: slice | None = None
    """Which sequences of each micro-batch are wanted, where several processes share it."""

    def __call__(self, step: int) -> list[Tensor]:
        """The micro-batches of a step, each (size, context + 1) int64: the inputs, and one more
        token, as the targets are the inputs shifted by one."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        windows = len(self.tokens) - self.context
        starts = torch.from_numpy(random.integers(0, windows, (self.accumulate, self.size, 1)))
        starts = starts[:, self.share or slice(None)]
        held = self.tokens.device
        device = torch.device(self.device or held)
        if held.type == "cuda":
            starts = _sent(starts, held)
        positions = starts.to(held) + torch.arange(self.context + 1, device=held)
        found = self.tokens[positions].long()
        if step % max(1, WINDOWS_HELD // (self.size * self.accumulate)) == 0:
            self.release()
        return list(found if held.type == device.type else _sent(found, device))


def _sent(x: Tensor, device: torch.device) -> Tensor:
    """`x` on another device; to a GPU from pinned memory, so that the host does not wait."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)
