"""An optimizer step as one CUDA graph: forwards, backwards, clipping and optimizers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from tinygpt import cuda_graphs
from tinygpt.errors import TinyGPTWarning, first_line
from tinygpt.optim import UncompiledOptimizer

Step: TypeAlias = Callable[[list[Tensor]], tuple[Tensor, Tensor]]
"""From micro-batches (B, T + 1) to the loss and the norm of the gradient, on the device."""

WARM_UPS = 3
"""Steps before the capture: compilers and libraries settle, and optimizers create their state."""


class CapturedStep:
    """Takes a few plain steps, then replays a graph of one. If capturing fails: one warning, and
    plain steps from then on.

    What differs from step to step is written to where the graph reads it: the tokens here, the
    rates of the optimizers by `set_learning_rate`, the seed of dropout by torch.

    Args:
        step: a step that never waits for the device. All micro-batches have one shape.
        optimizers: those of the step; they read their rates on the device.
    """

    def __init__(self, step: Step, optimizers: Sequence[UncompiledOptimizer]) -> None:
        self._step, self._optimizers = step, optimizers
        self._warm_ups_left, self._failed = WARM_UPS, False
        self._replay: Callable[[], None] | None = None
        self._batches: list[Tensor] = []
        self._results: tuple[Tensor, Tensor] | None = None

    def __call__(self, batches: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Take one step; returns its loss and the norm of its gradient."""
        if self._failed:
            return self._step(batches)
        if self._warm_ups_left:
            self._warm_ups_left -= 1
            return cuda_graphs.warm_up(lambda: self._step(batches), batches[0].device)
        self._replay = replay = self._replay or self._capture(batches)
        if replay is None:
            self._failed = True
            return self._step(batches)
        torch._foreach_copy_(self._batches, batches)
        replay()
        assert self._results is not None
        loss, grad_norm = self._results
        return loss.clone(), grad_norm.clone()  # the next replay overwrites them

    def _capture(self, batches: list[Tensor]) -> Callable[[], None] | None:
        self._batches = [batch.clone() for batch in batches]
        try:
            return cuda_graphs.capture(self._run, batches[0].device)
        except RuntimeError as error:
            warnings.warn(
                f"CUDA graph capture of a step failed, training without it ({first_line(error)})",
                TinyGPTWarning,
                stacklevel=2,
            )
            for optimizer in self._optimizers:  # gradients of which nothing was computed
                optimizer.zero_grad(set_to_none=True)
            return None

    def _run(self) -> None:
        self._results = self._step(self._batches)
