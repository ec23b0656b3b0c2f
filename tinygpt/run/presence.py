"""Whether a trainer lives, as far as the kernel here can tell: by its lock, or by its process.

Besides the lock that keeps out a second trainer (see `writer`), a trainer holds a lock that viewers
can test without taking it, an open-file-description lock of Linux. It is on one byte of
metrics.jsonl, far beyond any record: on a network disk, where the other lock may be a lock on all
bytes of its file, the two cannot meet. That a lock is held is always true; that it is free means
something only to a viewer on the trainer's kernel that looks at the same file, not at a copy or
through another mount. `Kernel`, which the trainer writes into status.json, tells them apart.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tinygpt.cgroup import OomKills
from tinygpt.files.safe_open import open_regular

File = tuple[int, int]
"""Device and inode of a file, which identify it on one kernel."""

_BYTE = 1 << 62
_FLOCK = struct.Struct("hhqqi0q")  # type, whence, start, length, pid: 64-bit on every Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Where a trainer runs. Containers share a kernel, whatever their host names are."""

    boot_id: str
    pid_namespace: int | None
    """Within one namespace, a pid means the same process to everyone."""
    locked: File | None
    """The file whose lock it holds; None where the file system has no locks."""
    oom_kills: OomKills | None = None
    """Of its control group, at the last heartbeat; None where they are not counted."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a viewer finds of a trainer's lock."""

    state: Literal["held", "free", "unknown"]
    file: File | None = None


@cache
def boot_id() -> str | None:
    """Identifies the running kernel since its start; None on other systems than Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def pid_namespace() -> int | None:
    """Identifies the processes that this one can see; None on other systems than Linux."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def this_host() -> str:
    """Name of this machine, as recorded in status.json and in the lock."""
    return socket.gethostname()


def process_start(pid: int) -> float | None:
    """Start time of the process `pid` on this host in unix seconds, None if it does not run.

    A zombie does not run: a killed trainer stays one until the interface that started it reaps it.
    """
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    try:
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return None if zombie else float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {pid} belongs to another user") from error


def hold_lock(descriptor: int, path: Path) -> File | None:
    """Lock the file `path`, open for writing as `descriptor`, until that is closed.

    Returns the file if a viewer can see the lock, None if locks do not work here.

    Raises:
        BlockingIOError: another process holds it.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):  # macOS
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
    except BlockingIOError:
        raise
    except OSError:  # no such locks, on this file system or this kernel
        return None
    seen = look_at_lock(path)
    return seen.file if seen.state == "held" else None


def look_at_lock(path: Path) -> Lock:
    """Test the lock of the file `path` without taking it; needs permission to read, not to write.

    Never raises.
    """
    if not hasattr(fcntl, "F_OFD_GETLK"):
        return Lock("unknown")
    try:
        with open_regular(path) as file:
            stat = os.fstat(file.fileno())
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _request(fcntl.F_RDLCK))
    except OSError:
        return Lock("unknown")
    free = _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK
    return Lock("free" if free else "held", (stat.st_dev, stat.st_ino))


def _request(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, _BYTE, 1, 0)


def parse_kernel(data: Any) -> Kernel | None:
    """The `kernel` of a status.json; None if there is none, as in those of older versions.

    Raises ValueError, TypeError or KeyError if it is not valid.
    """
    if data is None:
        return None
    if not isinstance(data["boot_id"], str):
        raise TypeError("boot_id is not text")
    namespace = data.get("pid_namespace")
    return Kernel(
        boot_id=data["boot_id"],
        pid_namespace=None if namespace is None else _integer(namespace),
        locked=_parse_file(data.get("locked")),
        oom_kills=_parse_oom_kills(data.get("oom_kills")),
    )


def _parse_file(data: Any) -> File | None:
    if data is None:
        return None
    device, inode = data
    return _integer(device), _integer(inode)


def _parse_oom_kills(data: Any) -> OomKills | None:
    if data is None:
        return None
    if not isinstance(data["group"], str):
        raise TypeError("group is not text")
    return OomKills(
        group=data["group"], inode=_integer(data["inode"]), count=_integer(data["count"])
    )


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value
