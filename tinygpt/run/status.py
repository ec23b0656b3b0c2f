"""status.json, and the state of a run that follows from it: training, ended, killed.

The handshake: the trainer rewrites status.json with its pid, host, start time and a heartbeat. A
viewer on the same host asks the system whether that process still runs; the start time tells it
from a later process with the same pid. A viewer on another host has only the heartbeat, and calls
a run stalled once it is overdue. The lock (see `writer`) is only for trainers, not for viewers.
"""

import errno
import json
import math
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from tinygpt.errors import DISK_FULL_ERRNOS, RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import open_to_write, read_text
from tinygpt.run.layout import STATUS, StrPath
from tinygpt.run.lines import LARGEST
from tinygpt.run.reader import last_end

StatusState: TypeAlias = Literal["starting", "running", "paused", "done", "stopped", "failed"]
State: TypeAlias = Literal[
    "new", "live", "paused", "stalled", "done", "stopped", "failed", "killed", "unreadable"
]

LARGEST_STATUS = 1 << 16
"""Bytes of the largest status.json that is read; viewers parse it twice a second."""
HEARTBEAT_OVERDUE = 30.0
"""Seconds without a heartbeat after which a run counts as stalled."""

# Seconds. The start time of a process, which psutil derives from the boot time, shifts by a second
# or two when the clock is set; no system reuses a pid that soon.
_SAME_START = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The content of status.json: `heartbeat` and `process_started` in unix seconds.

    `process_started` tells the training process from a later one with the same pid.
    """

    state: StatusState
    pid: int
    host: str
    process_started: float
    step: int
    heartbeat: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run is doing, with a short reason; `heartbeat_age` in seconds."""

    state: State
    reason: str
    status: Status | None = None
    heartbeat_age: float | None = None

    @property
    def active(self) -> bool:
        """Whether a trainer is, or may be, working on this run."""
        return self.state in ("live", "paused", "stalled")

    @property
    def resumable(self) -> bool:
        """Whether it ended early, so that it can be resumed."""
        return self.state in ("stopped", "killed", "failed")


def write_status(path: StrPath, status: Status, *, durable: bool = True) -> None:
    """Replace the status.json of the run directory `path`. Raises OSError.

    On a full disk, which has no room for a second file, the existing one is overwritten in place:
    a few hundred bytes in a single write, in a block that it already has.
    """
    file = Path(path, STATUS)
    try:
        atomic.write_json(file, asdict(status), durable=durable)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS or not file.exists():
            raise
        _overwrite(file, json.dumps(asdict(status)).encode("ascii"))


def _overwrite(file: Path, data: bytes) -> None:
    """Overwrite in place, padded with spaces to the old length, which JSON ignores."""
    descriptor = open_to_write(file, os.O_WRONLY)
    try:
        padded = data.ljust(os.fstat(descriptor).st_size)
        if os.pwrite(descriptor, padded, 0) < len(padded):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(file))
    finally:
        os.close(descriptor)


def read_status(path: StrPath) -> Status | None:
    """The status.json of the run directory `path`, None if missing. Unknown keys are ignored.

    Raises RunError, which names the file, if it cannot be read or is not valid.
    """
    file = Path(path, STATUS)
    try:
        return _parse(json.loads(read_text(file, LARGEST_STATUS)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise RunError(f"{file} is not the status of a run: {error}") from error


def read_state(path: StrPath, now: float | None = None) -> RunState:
    """The state of the run directory `path` at `now` (unix seconds; None: now). Never raises.

    - new: created, but no trainer has reported yet
    - live, paused: the process runs (same host), or its heartbeat is recent (another host)
    - stalled: the heartbeat is overdue, and the process runs or is on another host
    - done, stopped, failed: as the trainer reported
    - killed: it was last reported as running on this host, and its process no longer exists
    - unreadable: no such folder, or status.json is not valid
    """
    try:
        status = read_status(path)
    except RunError as error:
        return RunState(state="unreadable", reason=str(error))
    if status is None:
        if not Path(path).is_dir():
            return RunState(state="unreadable", reason=f"{os.fspath(path)} is not a folder")
        return RunState(state="new", reason="no training process has reported yet")
    age = max(0.0, (time.time() if now is None else now) - status.heartbeat)
    state, reason = _state(path, status, age)
    return RunState(state=state, reason=reason, status=status, heartbeat_age=age)


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


def _state(path: StrPath, status: Status, age: float) -> tuple[State, str]:
    if status.state in ("done", "stopped", "failed"):
        return cast(State, status.state), status.error or f"{status.state} at step {status.step}"
    if status.host == this_host() and not _alive(status):
        return _state_without_process(path, status)
    who = f"process {status.pid} on {status.host}"
    if age > HEARTBEAT_OVERDUE:
        return "stalled", f"no heartbeat from {who} for {age:.0f} s"
    why = f"{status.error} ({who} is {status.state})" if status.error else None
    return "paused" if status.state == "paused" else "live", why or f"{who} is {status.state}"


def _state_without_process(path: StrPath, status: Status) -> tuple[State, str]:
    """The process no longer exists: killed, unless it wrote its `end` but not its last status."""
    end = last_end(path)
    if end is not None and end.time >= status.process_started - _SAME_START:
        return end.state, end.error or end.reason
    return "killed", f"Trainer (pid {status.pid}) died after step {status.step}"


def _alive(status: Status) -> bool:
    try:
        started = process_start(status.pid)
    except PermissionError:  # it exists; only the heartbeat can tell more
        return True
    return started is not None and abs(started - status.process_started) <= _SAME_START


def _parse(data: Any) -> Status:
    if data["state"] not in get_args(StatusState):
        raise ValueError(f"state {data['state']!r} is unknown")
    for key in ("pid", "step"):
        if type(data[key]) is not int or not abs(data[key]) < LARGEST:
            raise TypeError(f"{key} is not a 64-bit integer")
    for key in ("heartbeat", "process_started"):
        if not math.isfinite(float(data[key])):
            raise ValueError(f"{key} is not a time")
    if data["pid"] <= 0:
        raise ValueError(f"pid {data['pid']} is not valid")
    if not isinstance(data["host"], str) or not isinstance(data.get("error"), str | None):
        raise TypeError("host or error is not text")
    return Status(
        state=data["state"],
        pid=data["pid"],
        host=data["host"],
        process_started=float(data["process_started"]),
        step=data["step"],
        heartbeat=float(data["heartbeat"]),
        error=data.get("error"),
    )
