"""The load of this machine."""

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tinygpt import cgroup
from tinygpt_tui.monitor.machine import read_machine


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
