"""The presets: the size of a model, and how it is trained."""

from __future__ import annotations

from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool
"""The value of a setting."""

# The comments give the reason for each set of numbers.
PRESETS: dict[str, dict[str, Scalar]] = {
    # The scale of the assignment that this project grew from; trains on a laptop in minutes.
    "micro": {
        "gpt.layers": 2,
        "gpt.heads": 4,
        "gpt.width": 64,
        "gpt.context": 32,
        "train.batch": 64,
        "steps": 10000,
        "train.eval_every": 500,
        "train.checkpoint_every": 500,
    },
    # nanoGPT's README command for a CPU: 4/4/128, context 64, batch 12, 2,000 steps.
    "nano": {"steps": 2000},
    # nanoGPT's config/train_shakespeare_char.py for a GPU.
    "baby": {
        "gpt.layers": 6,
        "gpt.heads": 6,
        "gpt.width": 384,
        "gpt.context": 256,
        "train.batch": 64,
        "steps": 5000,
        "train.log_every": 10,  # reading a loss waits for the GPU
    },
    # GPT-2 124M, made for BPE and larger corpora.
    "small": {
        "gpt.layers": 12,
        "gpt.heads": 12,
        "gpt.width": 768,
        "gpt.context": 1024,
        "train.batch": 12,
        "train.accumulate": 5,
        "steps": 20000,
        "train.log_every": 10,
        "train.eval_every": 1000,
        "train.checkpoint_every": 1000,
    },
}


def preset_for(device: str) -> str:
    """What ``--preset auto`` means on a type of device: baby on an NVIDIA GPU, else nano.

    `tinygpt.device.find_device_type` decides the type. This is not there, because the app needs it
    without importing torch: see `tinygpt_tui.launch.cost.default_preset`.
    """
    return "baby" if device == "cuda" else "nano"
