"""The cost of training: exact parameter counts and approximate memory.

Time is never estimated: see `tinygpt_tui.launch.measured`.
"""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib import metadata

from tinygpt.config import RunConfig
from tinygpt.model_config import MOST_LOGITS
from tinygpt.presets import preset_for
from tinygpt_tui.monitor.machine import has_gpu

VOCABULARY = {"char": 65, "bpe": 1024, "wordpiece": 1024}
"""Tokens of tinyshakespeare by default."""
LARGE_VOCABULARY = 32_768
"""Tokens of a vocabulary that is read from a file, at a guess: it is not opened."""

_PROCESS = 370 << 20  # bytes that Python and torch need without a model
_ACTIVATIONS = 48  # numbers kept for the backward pass per token, channel and layer


def vocabulary(config: RunConfig) -> int:
    """Tokens of the vocabulary, as if the corpus was tinyshakespeare."""
    return config.vocab_size or VOCABULARY.get(config.tokenizer, LARGE_VOCABULARY)


def parameters(config: RunConfig) -> dict[str, tuple[int, int]]:
    """(total, active per token) parameters of each variant."""
    return {v: config.model_config(v, vocabulary(config)).parameters() for v in config.variants}


def memory(config: RunConfig) -> int:
    """Approximate peak memory in bytes.

    The sum of the process itself; 16 bytes per parameter of both variants (weights, gradients and
    optimizer state; Muon needs half of AdamW's state, and writing checkpoints takes the other
    half); and the activations of one variant, since they only live within its step: 48 numbers per
    token, channel and layer, of one layer only if blocks are computed again, and three per logit.
    """
    tokens = config.train.batch * config.gpt.context
    weights = sum(total for total, _ in parameters(config).values())
    kept = _ACTIVATIONS * config.gpt.layers
    if config.train.recompute:  # the input of each block, and what one block computes
        kept = config.gpt.layers + _ACTIVATIONS
    layers = kept * config.gpt.width
    logits = min(tokens * vocabulary(config), MOST_LOGITS)
    return _PROCESS + 16 * weights + 4 * (tokens * layers + 3 * logits)


def uses_gpu(config: RunConfig) -> bool:
    """Whether the run will train on a GPU."""
    return likely_device(config.device) != "cpu"


def likely_device(name: str = "auto") -> str:
    """What `tinygpt.device.choose_device` will choose, guessed without importing torch."""
    if name != "auto":
        return name
    is_apple_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    return "cuda" if _has_cuda() else "mps" if is_apple_gpu else "cpu"


@cache
def _has_cuda() -> bool:
    try:
        is_cpu_build = "+cpu" in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return not is_cpu_build and has_gpu()


def default_preset() -> str:
    """What ``--preset auto`` will choose: nano without a GPU, baby with one."""
    return preset_for(likely_device())


def short_bytes(number: float) -> str:
    """Bytes with a unit: "510 MB", "2.4 GB"."""
    if number < 1e9:
        return f"{number / 1e6:.0f} MB"
    return f"{number / 1e9:.1f} GB" if number < 1e10 else f"{number / 1e9:.0f} GB"
