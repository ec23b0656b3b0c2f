"""NVIDIA GPUs as their driver (NVML) reports them: how busy each is, and who uses it.

NVML lists all GPUs of the machine. CUDA, and so torch, numbers only those that CUDA_VISIBLE_DEVICES
leaves, perhaps in another order. The UUID is the same for both: see `tinygpt.device`. This module
imports no torch, because the app shows the readings too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_LOAD = 0.05
"""`Gpu.load` up to which a GPU counts as idle: a display, or the driver itself, uses that much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process that computes on a GPU; None where this process cannot see it."""

    pid: int
    memory: int | None = None
    """Bytes on that GPU."""
    user: str | None = None
    command: str | None = None

    def __str__(self) -> str:
        """For example "alice (python, pid 4711, 12.3 GiB)"."""
        memory = None if self.memory is None else gibibytes(self.memory)
        details = (self.command, f"pid {self.pid}", memory)
        return f"{self.user or 'a process'} ({', '.join(filter(None, details))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; None where its driver reports nothing. Memory in bytes."""

    name: str
    percent: float | None
    """Share of the last sampling period in which a kernel ran."""
    memory_used: int | None
    memory_total: int | None
    celsius: float | None = None
    watts: float | None = None
    uuid: str = ""
    """Without NVML's prefix "GPU-"."""
    processes: tuple[GpuProcess, ...] = ()
    """In a container, the driver may hide those outside it."""

    @property
    def load(self) -> float:
        """Share of the time that it computes plus share of its memory in use: 0 to 2."""
        busy = 1.0 if self.percent is None else self.percent / 100
        if self.memory_used is None or not self.memory_total:
            return busy + 1.0
        return busy + self.memory_used / self.memory_total

    @property
    def idle(self) -> bool:
        """Whether nobody else uses it, as far as can be seen."""
        return not self.other_processes and self.load <= IDLE_LOAD

    @property
    def other_processes(self) -> tuple[GpuProcess, ...]:
        """Those that are not this process, the largest first."""
        others = [process for process in self.processes if process.pid != os.getpid()]
        return tuple(sorted(others, key=lambda process: -(process.memory or 0)))

    @property
    def other_users(self) -> list[str]:
        """The names of other people with a process on it, in alphabetical order."""
        return sorted({p.user for p in self.processes if p.user} - {_own_user()})


def read_gpus() -> tuple[Gpu, ...]:
    """All GPUs of the machine, in the order of nvidia-smi. Never raises; takes milliseconds."""
    nvml = _nvml()
    return quietly(lambda: tuple(_gpu(nvml, name, handle) for name, handle in _handles(nvml))) or ()


def visible_ids() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to be to leave each of the GPUs that it leaves now alone; the
    least used ones first, if it is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return [name for name in names if name and not name.startswith("-")]
    by_load = sorted(read_gpus(), key=lambda gpu: not gpu.idle and gpu.load)
    return [f"GPU-{gpu.uuid}" for gpu in by_load if gpu.uuid]


def idlest(gpus: Sequence[Gpu | None], *, left_to: Collection[int] = (), last: bool = False) -> int:
    """The index of the GPU that is used least; None stands for one without a reading.

    A process in `left_to` (pids) keeps its GPUs to itself where there are others. Of several idle
    GPUs it is the first one, or the `last`: what prefers the last keeps clear of a training that
    is started at the same time, and prefers the first.
    """

    def cost(index: int) -> tuple[bool, float, int]:
        gpu = gpus[index]
        order = -index if last else index
        if gpu is None:
            return False, IDLE_LOAD, order
        taken = any(process.pid in left_to for process in gpu.processes)
        # A process may be waiting, so that a GPU with one is never as good as an idle one.
        return taken, 0.0 if gpu.idle else max(gpu.load, IDLE_LOAD), order

    return min(range(len(gpus)), key=cost)


def gibibytes(size: float) -> str:
    """Bytes as "12.3 GiB"."""
    return f"{size / 2**30:.1f} GiB"


def quietly(read: Callable[[], T]) -> T | None:
    """The result of `read`, None if it raises: a gauge is not worth a crash."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - drivers and containers fail in too many ways to list
        return None


@cache
def _nvml() -> Any:
    """The initialized library; None without a driver."""
    try:
        import pynvml  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 10 ms

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no package, no driver, or an incompatible one
        return None
    return pynvml


@cache
def _handles(nvml: Any) -> tuple[tuple[str, Any], ...]:
    """Name and handle of each GPU."""
    if nvml is None:
        return ()
    handles = []
    for index in range(nvml.nvmlDeviceGetCount()):
        with suppress(nvml.NVMLError):  # a broken GPU must not hide the others
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            handles.append((_text(nvml.nvmlDeviceGetName(handle)), handle))
    return tuple(handles)


def _gpu(nvml: Any, name: str, handle: Any) -> Gpu:
    memory = quietly(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    processes = quietly(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
    uuid = quietly(lambda: _text(nvml.nvmlDeviceGetUUID(handle))) or ""
    return Gpu(
        name=name,
        percent=quietly(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        memory_used=memory and int(memory.used),
        memory_total=memory and int(memory.total),
        celsius=quietly(
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        ),
        watts=quietly(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),  # milliwatts
        uuid=uuid.removeprefix("GPU-"),
        processes=tuple(_process(p.pid, p.usedGpuMemory) for p in processes),
    )


def _process(pid: int, memory: int | None) -> GpuProcess:
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    known = quietly(lambda: psutil.Process(pid))
    return GpuProcess(
        pid=pid,
        memory=memory,
        user=known and quietly(known.username),
        command=known and quietly(known.name),
    )


@cache
def _own_user() -> str | None:
    return _process(os.getpid(), None).user


def _text(value: Any) -> str:
    """A name as text: older versions of pynvml return bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
