"""Accelerators are hidden from tests that are not of them, and from all processes that these start:
they compare numbers bit for bit, and would wait for each other on the one GPU."""

import os

import torch

HIDING = {
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "-1",
}
"""Variables that leave no GPU of NVIDIA and AMD; no other kind is chosen, but for MPS."""


def hide() -> None:
    """Before CUDA is looked at for the first time. Nothing but this process can be told of MPS."""
    os.environ.update(HIDING)
    torch.backends.mps.is_available = lambda: False  # type: ignore[assignment]


def hidden() -> dict[str, str]:
    """Those variables as they are now, for a process that does not inherit them."""
    return {name: os.environ[name] for name in HIDING if name in os.environ}
