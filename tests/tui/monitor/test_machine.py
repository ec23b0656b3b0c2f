"""The load of this machine."""

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tinygpt import cgroup
from tinygpt.gpus import Gpu
from tinygpt_tui.monitor import machine
from tinygpt_tui.monitor.machine import has_gpu, read_machine


def test_reading_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_machine()
    assert found.memory_total is not None
    assert found.memory_used is not None
    assert 0 < found.memory_used < found.memory_total

    def broken() -> None:
        raise PermissionError("/proc is closed")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    assert read_machine().memory_total is None


def test_memory_is_that_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "memory", lambda: cgroup.Memory(limit=7 << 20, used=3 << 20))
    found = read_machine()
    assert (found.memory_used, found.memory_total) == (3 << 20, 7 << 20)
    more = cgroup.Memory(limit=psutil.virtual_memory().total + 1, used=3)
    monkeypatch.setattr(cgroup, "memory", lambda: more)
    assert read_machine().memory_total == psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        *[(None, True), ("0", True), ("1,0", True), ("GPU-4b", True), ("MIG-7", True)],
        *[("", False), ("-1", False), ("2,0", False), ("GPU-5", False), ("NoDevFiles", False)],
    ],
)
def test_a_gpu_may_be_hidden_from_cuda(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, *, found: bool
) -> None:
    gpus = tuple(
        Gpu(name="NVIDIA H200", percent=0.0, memory_used=0, memory_total=7, uuid=uuid)
        for uuid in ("1f", "4b")
    )
    monkeypatch.setattr(machine, "read_gpus", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert has_gpu() == found
    monkeypatch.setattr(machine, "read_gpus", lambda: ())
    assert not has_gpu()
