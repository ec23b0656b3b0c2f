"""The load of this machine: processor, memory and NVIDIA GPUs."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from tinygpt import cgroup
from tinygpt.gpus import Gpu, quietly, read_gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The whole machine; None where a value is unavailable. Memory in bytes: that of this
    process's container or job where that has less than the machine."""

    cpu_percent: float | None
    """Mean over all CPUs since this thread's previous read; None for the first one."""
    cpus: int
    memory_used: int | None
    memory_total: int | None
    gpus: tuple[Gpu, ...] = ()


_asked = threading.local()  # psutil keeps the times of the last call per thread, too


def read_machine() -> Machine:
    """The load now. Takes a millisecond or two after the first call; never raises."""
    used, total = quietly(_memory) or (None, None)
    return Machine(
        cpu_percent=quietly(_cpu_percent),
        cpus=os.cpu_count() or 1,
        memory_used=used,
        memory_total=total,
        gpus=read_gpus(),
    )


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide.

    CUDA reads that list up to the first entry that names no GPU, so the first entry decides.
    """
    gpus, visible = read_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not gpus or visible is None:
        return bool(gpus)
    first = visible.partition(",")[0].strip()
    if first.isdecimal():
        return int(first) < len(gpus)
    uuid = first.removeprefix("GPU-")
    return first.startswith("MIG-") or any(uuid and gpu.uuid.startswith(uuid) for gpu in gpus)


def _cpu_percent() -> float | None:
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    percent = float(psutil.cpu_percent(interval=None))
    first, _asked.before = not hasattr(_asked, "before"), True
    return None if first else percent


def _memory() -> tuple[int, int]:
    import psutil  # noqa: PLC0415

    memory, limited = psutil.virtual_memory(), cgroup.memory()
    if limited and limited.limit < memory.total:
        return limited.used, limited.limit
    return int(memory.total - memory.available), int(memory.total)
