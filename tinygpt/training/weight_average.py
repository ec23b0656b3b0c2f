"""A moving average of the weights: the model that is evaluated, saved and used.

At a high learning rate the weights oscillate around the point they move towards; their mean is
already closer to it. Averaging therefore gains, at any step, what decaying the learning rate gains
at the end (Polyak averaging; arXiv:1803.05407), at the cost of one pass over the weights every few
steps. The window is a share of the steps taken: short early, so that the untrained weights are soon
forgotten, and long later, when the weights move slowly.

The weights of older steps fade, rather than being cut off: with a window of a tenth, the last tenth
of the steps has 65 % of the weight, and the last fifth 89 % (1 - 0.9^10 and 1 - 0.8^10).
"""

from __future__ import annotations

import copy

import torch

from tinygpt.model.gpt import GPT

EVERY = 4
"""Optimizer steps between two updates of the average. Before the first update it holds untrained
weights only, and is not used."""


class WeightAverage:
    """The average of a model, most of it over the last `window` (a share) of its steps."""

    def __init__(self, model: GPT, window: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self._window = window

    @torch.no_grad()
    def update(self, model: GPT, step: int) -> None:
        """Add the weights after `step` steps.

        The new weights get a share of EVERY / (window x step + EVERY): with a window of 1, this is
        the running mean of all updates; with a smaller one, those of the first x steps keep about
        (x / step)^(1 / window) of the weight.
        """
        if step % EVERY:
            return
        share = EVERY / (self._window * step + EVERY)
        torch._foreach_lerp_(_tensors(self.model), _tensors(model), share)


def _tensors(model: GPT) -> list[torch.Tensor]:
    """Weights and, as they act on the output too, the selection biases of the routers."""
    return list(model.state_dict().values())
