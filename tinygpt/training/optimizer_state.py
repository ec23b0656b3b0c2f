"""The state of the optimizers as tensors under flat names, as a checkpoint stores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_BUFFERS = {"muon": ("momentum",), "adamw": ("exp_avg", "exp_avg_sq")}
"""State of the shape of its parameter."""
_COUNTERS = {"muon": (), "adamw": ("step",)}
"""State of a single number: optimizer steps taken."""


def flat_state(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The tensors of all optimizers: "muon.3.momentum" is that of the parameter of index 3."""
    return {
        f"{_name(optimizer)}.{index}.{key}": value
        for optimizer in optimizers
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def load_flat_state(
    optimizers: Sequence[torch.optim.Optimizer], flat: Mapping[str, Tensor], step: int
) -> None:
    """Replace the state of all optimizers by that of `flat_state`, after `step` optimizer steps.

    Raises:
        ValueError: it is not the state of these optimizers; says which tensor is wrong. Torch
            itself takes any, and fails or goes on wrongly at the next step.
    """
    shapes = state_shapes(optimizers) if step else {}
    if missing := sorted(shapes.keys() - flat.keys()):
        raise ValueError(f"its optimizer state has no {missing[0]}")
    for name, tensor in flat.items():
        if name not in shapes:
            raise ValueError(f"unknown optimizer state {name}")
        if tensor.shape != shapes[name]:
            expected = f"{list(shapes[name])}, not {list(tensor.shape)}"
            raise ValueError(f"its optimizer state {name} should have the shape {expected}")
        if name.endswith((".exp_avg_sq", ".step")) and bool((tensor < 0).any()):
            raise ValueError(f"its optimizer state {name} has a negative number")
    for optimizer in optimizers:
        _load(optimizer, flat)


def _load(optimizer: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for path, tensor in flat.items():
        name, index, key = path.split(".")
        if name == _name(optimizer):
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def state_shapes(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Size]:
    """The shape of each tensor of `flat_state` after a step."""
    shapes: dict[str, torch.Size] = {}
    for optimizer in optimizers:
        name = _name(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            shapes |= {f"{name}.{index}.{key}": parameter.shape for key in _BUFFERS[name]}
            shapes |= {f"{name}.{index}.{key}": torch.Size() for key in _COUNTERS[name]}
    return shapes


def _name(optimizer: torch.optim.Optimizer) -> str:
    return type(optimizer).__name__.lower()
