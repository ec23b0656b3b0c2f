"""Where to compute, with how many threads, and in what precision: decided here for everyone.

Training, the engine of the app, ``--generate`` and ``--inspect`` all call `choose_device`. The app
itself does not import torch and has to guess its answer, in `tinygpt_tui.launch.cost`.

A device is "cpu", "mps", "cuda" or, on a machine with several GPUs, "cuda:1": a number that CUDA
gives to the GPUs that CUDA_VISIBLE_DEVICES leaves. How busy they are is read by `tinygpt.gpus`.

In bf16 training, weights, gradients, optimizer state, norms, the residual stream and the loss stay
fp32; matmuls, which are most of a step, read bf16 (8 bits of mantissa) and accumulate in fp32
(Micikevicius et al., arXiv:1710.03740; Kalamkar et al., arXiv:1905.12322).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tinygpt import cgroup
from tinygpt.errors import ConfigError
from tinygpt.gpus import Gpu, gibibytes, idlest, read_gpus
from tinygpt.threads import thread_limit, usable_cpus

_CUDA_WARNING = "CUDA initialization: "
_cuda_warnings: list[str] = []  # torch gives each reason why CUDA does not work once per process


class DeviceError(ConfigError):
    """A device that is named but not there.

    `why` is the reason in parentheses, empty without one; `use` is what there is, fastest first.
    """

    def __init__(self, name: str, why: str, use: list[str]) -> None:
        super().__init__(
            f"--device {name} is not available here{why}: use --device {' or '.join(use)}"
        )
        self.why, self.use = why, use


def device_type(device: str) -> str:
    """A device without its number: "cuda:1" is of the type "cuda"."""
    return device.partition(":")[0]


def find_device_type(name: str = "auto") -> str:
    """The type of the device that is named, or for "auto" the first of cuda, mps and cpu that is
    available. `tinygpt.presets.preset_for` says which preset suits it.

    Raises:
        DeviceError: the named device is not available.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if _cuda_available():
        available.insert(0, "cuda")
    if name == "auto":
        return available[0]
    kind = device_type(name)
    if kind not in available:
        why = cuda_problem() if kind == "cuda" else None
        raise DeviceError(name, f" ({why})" if why else "", available)
    if name != kind and int(name.partition(":")[2]) >= torch.cuda.device_count():
        raise DeviceError(name, f" ({_numbered_gpus()})", available)
    return kind


def choose_device(
    name: str = "auto", threads: int = 0, *, left_to: Collection[int] = (), last: bool = False
) -> str:
    """The device to compute on: as `find_device_type`, and of several GPUs the one that is named,
    or else the one that is used least, where `left_to` and `last` are those of `gpus.idlest`.

    Makes that GPU torch's current one, and sets torch's number of CPU threads, if `threads` is not
    0 or `thread_limit` says so.

    Raises:
        DeviceError: the named device is not available.
    """
    if threads := threads or thread_limit(torch.get_num_threads()):
        torch.set_num_threads(threads)
    device = find_device_type(name)
    if device != "cuda":
        return device
    if name.startswith("cuda:"):
        device = name
    elif torch.cuda.device_count() > 1:
        device = f"cuda:{idlest(visible_gpus(), left_to=left_to, last=last)}"
    if device != "cuda":
        torch.cuda.set_device(device)  # or what torch needs for itself would go to the first one
    return device


def device_of_process(name: str, threads: int = 0) -> str:
    """The device of one of several processes on this machine: the GPU of its number here, or the
    CPU, with `threads` or its share of the cores.

    Raises:
        DeviceError: the named device is not available.
        ConfigError: one GPU is named, or there are fewer than processes.
    """
    here = int(os.environ.get("LOCAL_RANK", "0"))
    count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    kind = find_device_type(name)
    if kind == "mps" or name.startswith("cuda:"):
        raise ConfigError(
            f"--device {name} is of one process: use --device cpu or cuda for several"
        )
    if kind == "cpu":
        torch.set_num_threads(threads or max(1, usable_cpus() // count))
        return kind
    if count > torch.cuda.device_count():
        raise ConfigError(
            f"there are {count} processes on this machine, but {_numbered_gpus()}: "
            "start one per GPU"
        )
    torch.cuda.set_device(here)
    return f"cuda:{here}"


def another_idle_gpu(device: str) -> str | None:
    """A GPU besides `device` that nobody uses; None if there is none."""
    if device_type(device) != "cuda" or torch.cuda.device_count() < 2:
        return None
    others = [f"cuda:{i}" for i, gpu in enumerate(visible_gpus()) if gpu is not None and gpu.idle]
    return next((other for other in others if other != device), None)


def visible_gpus() -> list[Gpu | None]:
    """A reading of each GPU that CUDA_VISIBLE_DEVICES leaves, by its number in torch; None where
    the driver gives none: for a part of a GPU (MIG), or in a container without NVML."""
    by_uuid = {gpu.uuid: gpu for gpu in read_gpus()}
    return [by_uuid.get(_uuid(index)) for index in range(torch.cuda.device_count())]


def on_device(device: str) -> AbstractContextManager[Any]:
    """Within it, this GPU is torch's current one, to which events and captured graphs belong."""
    return torch.cuda.device(device) if device.startswith("cuda:") else nullcontext()


def remarks(devices: Sequence[str], asked: str) -> list[str]:
    """Sentences for the user about devices that were chosen where `asked` was named: why none is a
    GPU, of how many GPUs they are, and who else uses them."""
    if device_type(devices[0]) != "cuda":
        problem = cuda_problem() if (asked, devices[0]) == ("auto", "cpu") else None
        return [f"the GPU is not used: {problem}"] if problem else []
    gpus = visible_gpus()
    said = []
    if len(gpus) > 1 and asked in ("auto", "cuda"):
        chosen = " and ".join(devices)
        said.append(f"of {len(gpus)} GPUs, the least used: {chosen}")
    for device in devices:
        gpu = gpus[int(device.partition(":")[2] or 0)]
        if gpu and gpu.other_processes:
            said.append(f"{device} is shared with {', '.join(map(str, gpu.other_processes))}")
    return said


def cuda_problem() -> str | None:
    """Why torch can use no GPU of NVIDIA; None if it can, or if there seems to be none."""
    if _cuda_available():
        return None
    if _cuda_warnings:
        return _explained(_cuda_warnings[0])
    gpus = {gpu.name for gpu in read_gpus()}
    if not gpus:
        return None
    if torch.version.cuda is None:
        return (
            f"PyTorch {torch.__version__} is built without CUDA, and there is an "
            f"{' and an '.join(sorted(gpus))}: install a build with CUDA from pytorch.org"
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if hidden is None else f"CUDA_VISIBLE_DEVICES={hidden!r} hides it"


def _explained(warning: str) -> str:
    """torch's warning that CUDA does not work, as one sentence."""
    if found := re.search(r"driver .* too old \(found version (\d+)\)", warning):
        version = int(found[1])  # 11040 is 11.4
        supported = f"{version // 1000}.{version % 1000 // 10}"
        return (
            f"the NVIDIA driver supports CUDA {supported}, but PyTorch "
            f"{torch.__version__} needs CUDA {torch.version.cuda}: update the driver, or install "
            "a PyTorch for the driver's version of CUDA from pytorch.org"
        )
    text = warning.removeprefix(_CUDA_WARNING).partition(" (Triggered internally")[0]
    return text.split(". ")[0].strip().rstrip(".")


def _cuda_available() -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    said = [str(warning.message) for warning in caught]
    _cuda_warnings.extend(text for text in said if text.startswith(_CUDA_WARNING))
    return available


def _numbered_gpus() -> str:
    """For example "there are 2 GPUs, cuda:0 to cuda:1, with CUDA_VISIBLE_DEVICES=2,3"."""
    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    there = (
        f"there are {count} GPUs, cuda:0 to cuda:{count - 1}" if count > 1 else "there is cuda:0"
    )
    return f"{there}, with CUDA_VISIBLE_DEVICES={visible}" if visible else there


def _uuid(index: int) -> str:
    return str(torch.cuda.get_device_properties(index).uuid).removeprefix("GPU-")


def matmul_dtype(device: str, precision: str) -> torch.dtype:
    """The dtype of a training's matmuls; `precision` is the setting ``train.precision``.

    Raises:
        ConfigError: the device cannot train in bf16.
    """
    if precision == "bf16" and device_type(device) not in ("cpu", "cuda"):
        raise ConfigError(
            f"--train.precision bf16 is for cpu and cuda, not for {device}: "
            "use fp32, or --device cpu"
        )
    bf16 = precision == "bf16" or (precision == "auto" and _has_fast_bf16(device))
    return torch.bfloat16 if bf16 else torch.float32


def _has_fast_bf16(device: str) -> bool:
    """Whether bf16 matmuls are faster than fp32 ones, and not emulated."""
    if device_type(device) == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AMX, or the dot products of AVX-512; every processor that has AMX has these too.
    has_dot_product = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device == "cpu" and bool(has_dot_product())


def autocast_context(device: str, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Within it, the matmuls of a model on `device` are computed in `dtype`."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device_type(device), dtype=dtype)


def device_name(device: str, matmul_dtype: torch.dtype) -> str:
    """The device as text: "cuda:1 (NVIDIA H100, bf16)", "cpu (2 threads)"."""
    bf16 = ", bf16" if matmul_dtype == torch.bfloat16 else ""
    if device_type(device) == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        of = f", CUDA_VISIBLE_DEVICES={visible}" if visible else ""
        return f"{device} ({torch.cuda.get_device_name(device)}{bf16}{of})"
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"cpu ({threads} thread{plural}{bf16})" if device == "cpu" else device


def total_memory(device: str) -> int:
    """Bytes of memory that the device has for this process, free or in use.

    On a CPU that is less than the machine's in a container or a job with a limit.
    """
    if device_type(device) == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    total, limited = int(psutil.virtual_memory().total), cgroup.memory()
    return min(total, limited.limit) if limited else total


def memory_in_use(device: str) -> str:
    """How much of the memory of a device is in use, for an error about it: "this process uses
    71.2 GiB of the 79.2 GiB of cuda:1, others 6.1 GiB"."""
    total = total_memory(device)
    if device_type(device) != "cuda":
        import psutil  # noqa: PLC0415

        own = psutil.Process().memory_info().rss
        return f"this process uses {gibibytes(own)} of the {gibibytes(total)} of memory"
    own, free = torch.cuda.memory_reserved(device), torch.cuda.mem_get_info(device)[0]
    words = f"this process uses {gibibytes(own)} of the {gibibytes(total)} of {device}"
    others = total - free - own  # with what CUDA itself takes for this process: up to 1 GiB
    return words if others < 2**30 else f"{words}, others {gibibytes(others)}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory could not be allocated, on any device."""
    # On a CPU, torch raises a plain RuntimeError.
    phrases = ("allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in phrases
    )
