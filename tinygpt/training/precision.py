"""The arithmetic of training: bf16 products over fp32 weights, where they are faster.

Weights, gradients, optimizer state, norms, the residual stream and the loss stay fp32; products,
which are most of a step, read bf16 (8 bits of mantissa) and add up in fp32 (Micikevicius et al.,
arXiv:1710.03740; Kalamkar et al., arXiv:1905.12322).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tinygpt.errors import ConfigError


def product_dtype(device: str, wanted: str) -> torch.dtype:
    """What a training on `device` multiplies in; `wanted` is its setting ``train.precision``.

    Raises:
        ConfigError: bf16 was asked for where it cannot be had.
    """
    if wanted == "bf16" and device not in ("cpu", "cuda"):
        raise ConfigError(f"--train.precision bf16 is for cpu and cuda, not for {device}: use fp32")
    fast = wanted == "bf16" or (wanted == "auto" and _multiplies_bf16(device))
    return torch.bfloat16 if fast else torch.float32


def products_in(device: str, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Within, the products of a model on `device` are computed in `dtype`."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device, dtype=dtype)


def _multiplies_bf16(device: str) -> bool:
    """Whether its bf16 products are faster than its fp32 ones, and not emulated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AMX, or the dot products of AVX-512; every processor with the first has the second.
    has_dot_product = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device == "cpu" and bool(has_dot_product())
