"""What this process's control groups (cgroups) allow and report: memory, CPU time, kills.

A container, a batch job or a systemd service has a limit of its own, which the numbers of the whole
machine do not show. Groups nest, and the tightest limit on the way to the root holds. Both versions
are read: in version 2 all controllers share one tree, in version 1 each has its own. Other systems
than Linux have none of this; there every function returns None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path("/")
"""Of the file system; tests set a made-up one."""

_MOUNTED = "sys/fs/cgroup"
_UNLIMITED = 1 << 60
"""Version 1 has no word for "no limit": its default is almost 2^63 bytes."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The limit of a group and what its processes use of it, without the page cache; bytes."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OomKills:
    """How many processes of a group were killed for lack of memory since the group exists.

    `group` is its path below the mount point; `inode` tells it from other groups of this kernel,
    as containers may see different groups under one path.
    """

    group: str
    inode: int
    count: int


def memory() -> Memory | None:
    """The group that limits this process's memory the most; None without a limit."""
    limits = [(limit, folder) for folder in _groups("memory") if (limit := _limit(folder))]
    if not limits:
        return None
    limit, folder = min(limits, key=lambda pair: pair[0])
    return Memory(limit, _used(folder))


def cpu_limit() -> float | None:
    """How many CPUs' time this process may use, 1.5 for instance; None without a limit."""
    quotas = [quota for folder in _groups("cpu") if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def oom_kills() -> OomKills | None:
    """The count of the group to which this process's memory is charged; None if it has none."""
    for folder in _groups("memory"):
        count = _oom_count(folder)
        if count is not None:
            group = folder.relative_to(_mount("memory"))
            return OomKills(group=str(group), inode=folder.stat().st_ino, count=count)
    return None


def recount(before: OomKills) -> OomKills | None:
    """The count of the same group now; None if that group is not visible here."""
    group = Path(before.group)
    if group.is_absolute() or ".." in group.parts:  # read from a file that anyone may have written
        return None
    folder = _mount("memory") / group
    try:
        count = _oom_count(folder) if folder.stat().st_ino == before.inode else None
    except (OSError, ValueError):
        return None
    return None if count is None else replace(before, count=count)


def _groups(controller: str) -> list[Path]:
    """Folders of this process's group and of the groups around it, the innermost first."""
    mount = _mount(controller)
    path = _membership(controller)
    if path is None or ".." in path.parts or not os.path.isdir(mount):
        return []
    folder = mount / path.relative_to("/")
    if not os.path.isdir(folder):  # a container may see only its own group, mounted as the root
        folder = mount
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]


def _mount(controller: str) -> Path:
    """Where the tree of a controller is mounted: the common one of version 2, else its own."""
    common = ROOT / _MOUNTED
    return common if os.path.exists(common / "cgroup.controllers") else common / controller


def _membership(controller: str) -> Path | None:
    """The path of this process's group in the tree of a controller, from /proc/self/cgroup.

    Its lines are like "4:memory:/jobs/7"; that of version 2 is "0::/jobs/7".
    """
    common = _mount(controller) == ROOT / _MOUNTED
    for line in _lines(ROOT / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" if common else controller in controllers.split(","):
            return Path(path)
    return None


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        for line in _lines(folder / name):
            return int(line) if line.isdecimal() and int(line) < _UNLIMITED else None
    return None


def _used(folder: Path) -> int:
    """Memory in use less file pages that the kernel drops first, as container tools count it."""
    lines = _lines(folder / "memory.current") or _lines(folder / "memory.usage_in_bytes")
    cached = _field(folder / "memory.stat", "total_inactive_file")
    if cached is None:
        cached = _field(folder / "memory.stat", "inactive_file") or 0
    return max(0, int(lines[0]) - cached) if lines else 0


def _quota(folder: Path) -> float | None:
    words = [word for line in _lines(folder / "cpu.max") for word in line.split()]
    if not words:
        words = _lines(folder / "cpu.cfs_quota_us") + _lines(folder / "cpu.cfs_period_us")
    if len(words) != 2 or not all(word.isdecimal() for word in words):  # "max", "-1", or no files
        return None
    quota, period = map(int, words)
    return quota / period if period else None


def _oom_count(folder: Path) -> int | None:
    count = _field(folder / "memory.events", "oom_kill")
    return _field(folder / "memory.oom_control", "oom_kill") if count is None else count


def _field(file: Path, name: str) -> int | None:
    """The number after `name` in a file of lines like "oom_kill 3"."""
    for line in _lines(file):
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None


def _lines(file: Path) -> list[str]:
    """Empty if the file cannot be read: another version, another system, no permission."""
    try:
        return file.read_text().splitlines()
    except (OSError, ValueError):
        return []
