"""The load of this machine: processor, memory and NVIDIA GPUs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from tinygpt import cgroup

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; None where its driver reports nothing. Memory in bytes."""

    name: str
    percent: float | None
    """Share of the last sampling period in which a kernel ran."""
    memory_used: int | None
    memory_total: int | None
    celsius: float | None
    watts: float | None


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
    used, total = _quietly(_memory) or (None, None)
    return Machine(
        cpu_percent=_quietly(_cpu_percent),
        cpus=os.cpu_count() or 1,
        memory_used=used,
        memory_total=total,
        gpus=_quietly(_gpus) or (),
    )


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU."""
    return bool(_quietly(lambda: _handles(_nvml())))


def _quietly(read: Callable[[], T]) -> T | None:
    """The result of `read`, None if it raises: a gauge is not worth a crash."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - drivers and containers fail in too many ways to list
        return None


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
            name = nvml.nvmlDeviceGetName(handle)
            handles.append((name.decode() if isinstance(name, bytes) else str(name), handle))
    return tuple(handles)


def _gpus() -> tuple[Gpu, ...]:
    nvml = _nvml()
    return tuple(_gpu(nvml, name, handle) for name, handle in _handles(nvml))


def _gpu(nvml: Any, name: str, handle: Any) -> Gpu:
    memory = _quietly(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    return Gpu(
        name=name,
        percent=_quietly(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
        memory_used=memory and int(memory.used),
        memory_total=memory and int(memory.total),
        celsius=_quietly(
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        ),
        watts=_quietly(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),  # milliwatts
    )
