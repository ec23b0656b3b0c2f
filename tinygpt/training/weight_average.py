"""The mean of a model's weights over its last steps: what is evaluated, saved and used.

While the learning rate is high the weights jitter around where they are going; their mean is
already there. It does for any step of a run what the decay of the learning rate does for its last
(Polyak averaging; arXiv:1803.05407), and costs one pass over the weights every few steps.
"""

from __future__ import annotations

import copy

import torch

from tinygpt.model.gpt import GPT

EVERY = 4
"""Optimizer steps between two weights that are averaged."""


class WeightAverage:
    """Follows a model at a distance: the mean over about the last `window` of its steps."""

    def __init__(self, model: GPT, window: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self._window = window

    @torch.no_grad()
    def follow(self, model: GPT, step: int) -> None:
        """Take in the weights after `step` steps."""
        if step % EVERY:
            return
        share = EVERY / (self._window * step + EVERY)
        torch._foreach_lerp_(_tensors(self.model), _tensors(model), share)


def _tensors(model: GPT) -> list[torch.Tensor]:
    """The weights, and the selection biases of the routers, which steer what the weights see."""
    return list(model.state_dict().values())
