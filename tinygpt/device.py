"""The arithmetic of training: bf16 products over fp32 weights, where they are faster.

Weights, gradients, optimizer state, norms, the residual stream and the loss stay fp32; products,
which are most of a step, read bf16 (8 bits of mantissa) and add up in fp32 (Micikevicius et al.,
arXiv:1710.03740; Kalamkar et al., arXiv:1905.12322).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tinygpt.config import RunConfig
from tinygpt.errors import ConfigError


def matmul_dtype(device: str, wanted: str) -> torch.dtype:
    """What a training on `device` multiplies in; `wanted` is its setting ``train.precision``.

    Raises:
        ConfigError: bf16 was asked for where it cannot be had.
    """
    if wanted == "bf16" and device not in ("cpu", "cuda"):
        raise ConfigError(f"--train.precision bf16 is for cpu and cuda, not for {device}: use fp32")
    fast = wanted == "bf16" or (wanted == "auto" and _multiplies_bf16(device))
    return torch.bfloat16 if fast else torch.float32


def autocast_context(device: str, dtype: torch.dtype) -> AbstractContextManager[Any]:
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


def choose_device(config: RunConfig) -> str:
    """The device to compute on, with the CPU threads set that were asked for.

    Raises:
        ConfigError: the one that was named is not there.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    device = config.device
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[device]:
        raise ConfigError(
            f"--device {device} is not available here: use --device "
            + " or ".join(name for name, there in available.items() if there)
        )
    return device


def device_name(device: str, matmul_dtype: torch.dtype) -> str:
    """A device for people: its kind, which, and what it multiplies in if that is not fp32."""
    half = ", bf16" if matmul_dtype == torch.bfloat16 else ""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()}{half})"
    threads = torch.get_num_threads()
    many = "s" if threads > 1 else ""
    return f"cpu ({threads} thread{many}{half})" if device == "cpu" else device


def memory(device: str) -> int:
    """Bytes that the device has, in use or not."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    return int(psutil.virtual_memory().total)
