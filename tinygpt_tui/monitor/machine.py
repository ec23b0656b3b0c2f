"""What this machine is doing: processor, memory, NVIDIA GPUs, and the training's own share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; None where its driver does not say. Memory in bytes."""

    name: str
    percent: float | None
    """Share of the last moments in which a kernel ran."""
    memory_used: int | None
    memory_total: int | None
    celsius: float | None
    watts: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The whole machine; None where it does not say. Memory in bytes."""

    cpu_percent: float | None
    """Of all CPUs together, since this thread last asked; None at its first time."""
    cpus: int
    memory_used: int | None
    memory_total: int | None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process takes."""

    cpu_percent: float | None
    """Of one CPU, so 200 is two of them, since the last call; None at the first one."""
    rss: int
    """Resident bytes."""


_asked = threading.local()  # psutil keeps the times of the last call for each thread, too


def read_machine() -> Machine:
    """What the machine is doing now. Takes a millisecond or two after the first call; never
    raises."""
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


def process_usage(pid: int) -> Usage | None:
    """What the process `pid` of this machine takes; None if it is gone or somebody else's."""
    return _quietly(lambda: _usage(pid))


def _quietly(read: Callable[[], T]) -> T | None:
    """What `read` finds, None if anything is in its way: a gauge is never worth a crash."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - drivers and containers fail in ways that no list covers
        return None


def _cpu_percent() -> float | None:
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    percent = float(psutil.cpu_percent(interval=None))
    first, _asked.before = not hasattr(_asked, "before"), True
    return None if first else percent


def _memory() -> tuple[int, int]:
    import psutil  # noqa: PLC0415

    memory = psutil.virtual_memory()
    return int(memory.total - memory.available), int(memory.total)


def _usage(pid: int) -> Usage | None:
    process = _process(pid)
    if not process.is_running():  # compares start times: a pid may be another process by now
        _process.cache_clear()
        return None
    first, process.before = not hasattr(process, "before"), True
    percent = float(process.cpu_percent(interval=None))
    return Usage(cpu_percent=None if first else percent, rss=int(process.memory_info().rss))


@lru_cache(maxsize=8)
def _process(pid: int) -> Any:
    """psutil measures between two calls on one object."""
    import psutil  # noqa: PLC0415

    return psutil.Process(pid)


@cache
def _nvml() -> Any:
    """The started library, None without a driver; either is settled once."""
    try:
        import pynvml  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 10 ms

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no package, no driver, another version of it
        return None
    return pynvml


@cache
def _handles(nvml: Any) -> tuple[tuple[str, Any], ...]:
    """Name and handle of each GPU."""
    if nvml is None:
        return ()
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        with suppress(nvml.NVMLError):  # one that has fallen off the bus hides no other
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name = nvml.nvmlDeviceGetName(handle)
            found.append((name.decode() if isinstance(name, bytes) else str(name), handle))
    return tuple(found)


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
