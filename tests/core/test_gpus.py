"""Which GPU is used least, and who uses it, by made-up readings and by a made-up driver."""

import dataclasses
import os
from types import SimpleNamespace
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tinygpt import gpus
from tinygpt.gpus import Gpu, GpuProcess, idlest, read_gpus, visible_ids

GIB = 2**30


def gpu(percent: float | None, used: float, *pids: int) -> Gpu:
    """One with 80 GiB, of which `used` GiB are in use, and these processes."""
    processes = tuple(GpuProcess(pid=pid) for pid in pids)
    return Gpu(
        name="H100",
        percent=percent,
        memory_used=int(used * GIB),
        memory_total=80 * GIB,
        processes=processes,
    )


@pytest.mark.parametrize(
    ("found", "first", "last"),
    [
        ((gpu(97, 40, 7), gpu(0, 0.5)), 1, 1),
        ((gpu(0, 0.5), gpu(1, 0.2), gpu(80, 9, 7)), 0, 1),  # a display is no load
        ((gpu(0, 1, 7), gpu(0, 0.5)), 1, 1),  # a paused training
        ((gpu(90, 9, 7), gpu(60, 11, 8)), 1, 1),
        ((gpu(50, 70, 7), gpu(60, 11, 8)), 1, 1),  # memory counts as much as time
        ((gpu(None, 0.5), gpu(60, 1, 7)), 1, 1),  # unknown counts as busy
        ((None, None), 0, 1),
        ((gpu(97, 40, 7), None), 1, 1),
        ((None, gpu(0, 0)), 1, 1),
    ],
)
def test_the_idlest(found: tuple[Gpu | None, ...], first: int, last: int) -> None:
    assert (idlest(found), idlest(found, last=True)) == (first, last)


def test_a_training_keeps_its_gpus_where_there_are_others() -> None:
    busy = (gpu(20, 1, 4711), gpu(99, 70, 8))
    assert idlest(busy) == 0
    assert idlest(busy, left_to=[4711]) == 1
    assert idlest([gpu(20, 1, 4711)], left_to=[4711]) == 0


def test_idle_is_without_other_processes() -> None:
    assert gpu(0, 1, os.getpid()).idle
    assert not gpu(0, 1, 7).idle
    assert not gpu(9, 1).idle


class Driver:
    """As pynvml, with two GPUs of which the second is broken in most respects."""

    NVML_TEMPERATURE_GPU = 0
    NVMLError = KeyError
    own = psutil.Process()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - as NVML has it
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> Any:  # noqa: N802
        return ("NVIDIA H100", b"NVIDIA A10")[handle]

    def nvmlDeviceGetUUID(self, handle: int) -> Any:  # noqa: N802
        return ("GPU-aa-01", b"GPU-bb-02")[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return {0: SimpleNamespace(used=3 * GIB, total=80 * GIB)}[handle]

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return {0: SimpleNamespace(gpu=7)}[handle]

    def nvmlDeviceGetTemperature(self, handle: int, _: int) -> int:  # noqa: N802
        return {0: 61}[handle]

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return {0: 412_000}[handle]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> Any:  # noqa: N802
        used = {os.getpid(): GIB, os.getppid(): 2 * GIB, 2**22 + 1: None}  # the last: no such pid
        return {0: [SimpleNamespace(pid=p, usedGpuMemory=m) for p, m in used.items()]}[handle]


def test_readings_of_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr(gpus, "_nvml", lambda: driver)
    first, second = read_gpus()
    assert (first.name, first.uuid, first.percent, first.celsius) == ("NVIDIA H100", "aa-01", 7, 61)
    assert (first.memory_used, first.memory_total, first.watts) == (3 * GIB, 80 * GIB, 412)
    assert second == Gpu(
        name="NVIDIA A10", uuid="bb-02", percent=None, memory_used=None, memory_total=None
    )
    parent, hidden = first.other_processes
    command, user = psutil.Process(os.getppid()).name(), psutil.Process(os.getppid()).username()
    assert str(parent) == f"{user} ({command}, pid {os.getppid()}, 2.0 GiB)"
    assert str(hidden) == "a process (pid 4194305)"
    assert first.other_users == sorted({user} - {psutil.Process().username()})


def test_other_people_are_named_once() -> None:
    processes = [GpuProcess(pid=pid, user=user) for pid, user in ((1, "zoe"), (2, "al"), (3, "al"))]
    found = Gpu(
        name="", percent=0, memory_used=0, memory_total=1, processes=(*processes, GpuProcess(pid=4))
    )
    assert found.other_users == ["al", "zoe"]


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_nvml", lambda: None)
    assert read_gpus() == ()


def test_the_gpus_that_a_process_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, idle = (dataclasses.replace(gpu(load, 0.0), uuid=u) for load, u in ((90, "b"), (0, "a")))
    monkeypatch.setattr(gpus, "read_gpus", lambda: (busy, idle))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_ids() == ["GPU-a", "GPU-b"]
    for visible, ids in (("2, 0", ["2", "0"]), ("", []), ("-1", []), ("GPU-b", ["GPU-b"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert visible_ids() == ids
