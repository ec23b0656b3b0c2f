"""Where to compute, with how many threads, and in what precision: decided here for everyone.

Training, the engine of the app, ``--generate`` and ``--inspect`` all call `choose_device`. The app
itself does not import torch and has to guess its answer, in `tinygpt_tui.launch.cost`.

In bf16 training, weights, gradients, optimizer state, norms, the residual stream and the loss stay
fp32; matmuls, which are most of a step, read bf16 (8 bits of mantissa) and accumulate in fp32
(Micikevicius et al., arXiv:1710.03740; Kalamkar et al., arXiv:1905.12322).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tinygpt import cgroup
from tinygpt.errors import ConfigError
from tinygpt.threads import thread_limit


def choose_device(name: str = "auto", threads: int = 0) -> str:
    """The device to compute on: the one named, or for "auto" the first of cuda, mps and cpu that is
    available. Sets torch's number of CPU threads, if `threads` is not 0 or `thread_limit` says so.

    `tinygpt.config.preset_for` says which preset suits the device.

    Raises:
        ConfigError: the named device is not available.
    """
    if threads := threads or thread_limit(torch.get_num_threads()):
        torch.set_num_threads(threads)
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if name == "auto":
        return available[0]
    if name not in available:
        raise ConfigError(
            f"--device {name} is not available here: use --device {' or '.join(available)}"
        )
    return name


def matmul_dtype(device: str, precision: str) -> torch.dtype:
    """The dtype of a training's matmuls; `precision` is the setting ``train.precision``.

    Raises:
        ConfigError: the device cannot train in bf16.
    """
    if precision == "bf16" and device not in ("cpu", "cuda"):
        raise ConfigError(
            f"--train.precision bf16 is for cpu and cuda, not for {device}: "
            "use fp32, or --device cpu"
        )
    bf16 = precision == "bf16" or (precision == "auto" and _has_fast_bf16(device))
    return torch.bfloat16 if bf16 else torch.float32


def _has_fast_bf16(device: str) -> bool:
    """Whether bf16 matmuls are faster than fp32 ones, and not emulated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AMX, or the dot products of AVX-512; every processor that has AMX has these too.
    has_dot_product = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device == "cpu" and bool(has_dot_product())


def autocast_context(device: str, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Within it, the matmuls of a model on `device` are computed in `dtype`."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device, dtype=dtype)


def device_name(device: str, matmul_dtype: torch.dtype) -> str:
    """The device as text: "cuda (NVIDIA H100, bf16)", "cpu (2 threads)"."""
    bf16 = ", bf16" if matmul_dtype == torch.bfloat16 else ""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()}{bf16})"
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"cpu ({threads} thread{plural}{bf16})" if device == "cpu" else device


def total_memory(device: str) -> int:
    """Bytes of memory that the device has for this process, free or in use.

    On a CPU that is less than the machine's in a container or a job with a limit.
    """
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    total, limited = int(psutil.virtual_memory().total), cgroup.memory()
    return min(total, limited.limit) if limited else total
