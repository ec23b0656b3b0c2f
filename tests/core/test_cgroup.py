"""Limits and kills of control groups, read from made-up trees of both versions."""

from dataclasses import replace
from pathlib import Path

import pytest

from tinygpt import cgroup

GIB = 1 << 30
MOUNT = Path("sys/fs/cgroup")
UNLIMITED = "9223372036854771712"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def version2(root: Path) -> Path:
    """A job of 1.5 CPUs without a memory limit, in a slice of 3 GiB."""
    files = {
        "cgroup.controllers": "cpu memory",
        "slice/memory.max": str(3 * GIB),
        "slice/memory.current": str(2 * GIB),
        "slice/memory.stat": f"anon 1\ninactive_file {GIB // 2}\nactive_file 5",
        "slice/memory.events": "low 0\noom 7\noom_kill 11",
        "slice/cpu.max": "400000 100000",
        "slice/job/memory.max": "max",
        "slice/job/memory.events": "low 0\noom 2\noom_kill 5\noom_group_kill 0",
        "slice/job/cpu.max": "150000 100000",
    }
    write(root / MOUNT, files)
    write(root, {"proc/self/cgroup": "0::/slice/job"})
    return root


@pytest.fixture
def version1(root: Path) -> Path:
    """The same in the separate trees of version 1."""
    files = {
        "memory/slice/memory.limit_in_bytes": str(3 * GIB),
        "memory/slice/memory.usage_in_bytes": str(2 * GIB),
        "memory/slice/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB // 2}",
        "memory/slice/job/memory.limit_in_bytes": UNLIMITED,
        "memory/slice/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5",
        "cpu/slice/cpu.cfs_quota_us": "-1",
        "cpu/slice/cpu.cfs_period_us": "100000",
        "cpu/job/cpu.cfs_quota_us": "75000",
        "cpu/job/cpu.cfs_period_us": "50000",
        "unified/cgroup.procs": "7",
    }
    write(root / MOUNT, files)
    own = "5:memory:/slice/job\n2:cpuacct,cpu:/job\n1:name=systemd:/x:y\n0::/"
    write(root, {"proc/self/cgroup": own})
    return root


@pytest.mark.parametrize("tree", ["version2", "version1"])
def test_the_tightest_limit_of_all_groups_holds(tree: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(tree)
    assert cgroup.memory() == cgroup.Memory(limit=3 * GIB, used=3 * GIB // 2)
    assert cgroup.cpu_limit() == 1.5


@pytest.mark.parametrize("tree", ["version2", "version1"])
def test_kills_are_those_of_the_own_group(tree: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(tree)
    before = cgroup.oom_kills()
    assert before is not None
    assert (before.group, before.count) == ("slice/job", 5)
    assert cgroup.recount(replace(before, count=3)) == before


def test_another_group_says_nothing(version2: Path) -> None:
    before = cgroup.oom_kills()
    assert before is not None
    for group in ("gone", "../cgroup/slice/job", f"/{MOUNT}/slice/job", "slice", "\0"):
        assert cgroup.recount(replace(before, group=group)) is None
    assert cgroup.recount(replace(before, inode=before.inode + 1)) is None


def test_a_container_that_sees_only_its_own_group(version2: Path) -> None:
    """With the host's name for it, as without a cgroup namespace."""
    write(version2 / MOUNT, {"memory.max": str(GIB), "memory.current": "7"})
    write(version2, {"proc/self/cgroup": "0::/docker/8c29"})
    assert cgroup.memory() == cgroup.Memory(limit=GIB, used=7)


def test_no_limit_and_no_groups(version2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(version2 / MOUNT, {"slice/memory.max": "max", "slice/cpu.max": "max 100000"})
    write(version2 / MOUNT, {"slice/job/cpu.max": "max 100000"})
    assert cgroup.memory() is None
    assert cgroup.cpu_limit() is None
    write(version2, {"proc/self/cgroup": "0::/../elsewhere"})  # outside of this namespace
    assert cgroup.oom_kills() is None
    monkeypatch.setattr(cgroup, "ROOT", version2 / "another system")
    for nothing in (cgroup.memory, cgroup.cpu_limit, cgroup.oom_kills):
        assert nothing() is None
