"""status.json, and the state of a run that follows from it: training, ended, killed.

The trainer rewrites status.json with its pid, host, kernel and a heartbeat. A viewer asks three
witnesses in turn: the trainer's lock, its process, and only where neither can tell (see
`presence`), its heartbeat, which is fresh or overdue. Viewers and a trainer that would resume the
run judge by the same function, so that what is offered in the app is not refused by the trainer.
"""

import errno
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from tinygpt.cgroup import recount
from tinygpt.errors import DISK_FULL_ERRNOS, RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import open_to_write, read_text
from tinygpt.run.layout import METRICS, STATUS, StrPath
from tinygpt.run.lines import LARGEST
from tinygpt.run.presence import (
    Kernel,
    boot_id,
    look_at_lock,
    parse_kernel,
    pid_namespace,
    process_start,
    this_host,
)
from tinygpt.run.reader import last_end

StatusState: TypeAlias = Literal[
    "queued", "starting", "running", "paused", "done", "stopped", "failed"
]
State: TypeAlias = Literal[
    "new",
    "queued",
    "live",
    "paused",
    "stalled",
    "done",
    "stopped",
    "failed",
    "killed",
    "unreadable",
]

LARGEST_STATUS = 1 << 16
"""Bytes of the largest status.json that is read; viewers parse it twice a second."""
HEARTBEAT_OVERDUE = 30.0
"""Seconds without a heartbeat after which a run counts as stalled, where only that can tell. One
that lies as far in the future says as little."""

# Seconds. The start time of a process, which psutil derives from the boot time, shifts by a second
# or two when the clock is set; no system reuses a pid that soon.
_SAME_START = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The content of status.json: `heartbeat` and `process_started` in unix seconds.

    `process_started` tells the training process from a later one with the same pid; `kernel` is
    None in files of older versions and on macOS.
    """

    state: StatusState
    pid: int
    host: str
    process_started: float
    step: int
    heartbeat: float
    error: str | None = None
    kernel: Kernel | None = None
    after: str | None = None
    """What a queued run waits for, a run or group: its name, or its path if it is elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run is doing, with a short reason; `heartbeat_age` in seconds, negative for one in
    the future."""

    state: State
    reason: str
    status: Status | None = None
    heartbeat_age: float | None = None

    @property
    def active(self) -> bool:
        """Whether a trainer is working on this run or waits to, as far as can be told."""
        return self.state in ("live", "paused", "queued")

    @property
    def silent(self) -> bool:
        """Whether its trainer lives, but its heartbeat is overdue."""
        return self.active and (self.heartbeat_age or 0.0) > HEARTBEAT_OVERDUE

    @property
    def done(self) -> bool:
        """Whether it has reached its end, so that it can only be resumed with a later one."""
        return self.state == "done"

    @property
    def resumable(self) -> bool:
        """Whether it ended early, so that it can be resumed."""
        return self.state in ("stopped", "killed", "failed", "stalled")


def write_status(path: StrPath, status: Status, *, durable: bool = True) -> None:
    """Replace the status.json of the run directory `path`. Raises OSError.

    On a full disk, which has no room for a second file, the existing one is overwritten in place:
    a few hundred bytes in a single write, in a block that it already has.
    """
    file = Path(path, STATUS)
    try:
        atomic.write_json(file, asdict(status), durable=durable)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS or not os.path.exists(file):
            raise
        _overwrite(file, json.dumps(asdict(status)).encode("ascii"))


def write_failure(path: StrPath, error: str) -> None:
    """Say in the status of a run that its trainer, which can no longer, has failed: with that one's
    last step. Where that cannot be written, nothing is."""
    status = read_status(path)
    if status is not None and status.state in ("starting", "running", "paused"):
        with suppress(OSError):
            write_status(path, replace(status, state="failed", error=error))


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


def read_state(
    path: StrPath,
    now: float | None = None,
    *,
    heartbeat_age: Callable[[Status], float] | None = None,
) -> RunState:
    """The state of the run directory `path` at `now` (unix seconds; None: now). Never raises.

    - new: created, but no trainer has reported yet
    - queued: its trainer lives, and waits for another run to end
    - live, paused: the trainer lives, or that cannot be told and its heartbeat is fresh
    - stalled: whether the trainer lives cannot be told, and its heartbeat is overdue
    - done, stopped, failed: as the trainer reported
    - killed: it was last reported as running, and no longer exists
    - unreadable: no such folder, or status.json is not valid

    A heartbeat is a time by the trainer's clock, which may not agree with the one here;
    `heartbeat_age` tells its age in seconds in another way.
    """
    try:
        status = read_status(path)
    except RunError as error:
        return RunState(state="unreadable", reason=str(error))
    if status is None:
        if not os.path.isdir(path):
            return RunState(state="unreadable", reason=f"{os.fspath(path)} is not a folder")
        return RunState(state="new", reason="no training process has reported yet")
    if heartbeat_age is not None:
        age = heartbeat_age(status)
    else:
        age = (time.time() if now is None else now) - status.heartbeat
    state, reason = _state(path, status, age)
    return RunState(state=state, reason=reason, status=status, heartbeat_age=age)


class HeartbeatWatch:
    """Tells the age of a run's heartbeat to a viewer that reads it again and again.

    That it changes is a sign of life that needs no clock but the viewer's own. Until the first
    change, the trainer's clock is compared with the one here. For `read_state`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self._changed: float | None = None

    def __call__(self, status: Status) -> float:
        """Seconds since the heartbeat of `status`."""
        now, before = self._clock(), self._last
        self._last = status.heartbeat
        if before not in (None, status.heartbeat):
            self._changed = now
        return time.time() - status.heartbeat if self._changed is None else now - self._changed


def age_on_disk(path: StrPath, lock: int, status: Status) -> float:
    """Seconds since the heartbeat was written, by the clock of the disk. For `read_state`.

    On a network disk that is the server's, so that the clocks of two hosts need not agree. Needs
    the run's lock file, open for writing as `lock`, whose time is set to learn what time it is.
    """
    try:
        os.utime(lock)
        return os.fstat(lock).st_mtime - Path(path, STATUS).stat().st_mtime
    except OSError:
        return time.time() - status.heartbeat


def trainer_alive(path: StrPath, status: Status) -> bool | None:
    """Whether the trainer that wrote `status` lives; None if that cannot be told from here.

    A held lock is a living trainer, wherever it is. A free one is a dead trainer if it is the very
    lock that the trainer held, on this kernel. Else its process tells, if its pid means the same
    here; by an older version or on macOS, that is decided by the host's name.
    """
    lock, kernel = look_at_lock(Path(path, METRICS)), status.kernel
    if lock.state == "held":
        return True
    if kernel is None:
        return _process_alive(status) if status.host == this_host() else None
    if kernel.boot_id != boot_id():
        return None
    if lock.state == "free" and lock.file == kernel.locked:
        return False
    return _process_alive(status) if kernel.pid_namespace == pid_namespace() else None


def _state(path: StrPath, status: Status, age: float) -> tuple[State, str]:
    if status.state in ("done", "stopped", "failed"):
        return cast(State, status.state), status.error or f"{status.state} at step {status.step}"
    alive = trainer_alive(path, status)
    if alive or (alive is None and abs(age) <= HEARTBEAT_OVERDUE):
        return _active_state(status, age)
    end = last_end(path)
    if end is not None and end.time >= status.process_started - _SAME_START:
        return end.state, end.error or end.reason  # it wrote its end, but not its last status
    if alive is None and not _rebooted(status):
        return "stalled", f"{_silence(age)} from {_who(status)}"
    return "killed", _death(status)


def _active_state(status: Status, age: float) -> tuple[State, str]:
    reason = f"{_who(status)} is {status.state}"
    if status.state == "queued":
        reason = f"begins when {status.after} ends ({_who(status)} waits for it)"
    if age > HEARTBEAT_OVERDUE:
        reason = f"{reason}, but there is {_silence(age)}"
    if status.error:
        reason = f"{status.error} ({reason})"
    return "live" if status.state in ("starting", "running") else cast(State, status.state), reason


def _who(status: Status) -> str:
    return f"process {status.pid} on {status.host}"


def _silence(age: float) -> str:
    if age < 0:
        return f"a heartbeat of a time {-age:.0f} s in the future"
    return f"no heartbeat for {age:.0f} s"


def _rebooted(status: Status) -> bool:
    """Whether the trainer ran on this host before its last start."""
    kernel = status.kernel
    return (
        kernel is not None
        and status.host == this_host()
        and boot_id() not in (None, kernel.boot_id)
    )


def _death(status: Status) -> str:
    kernel = status.kernel
    reason = f"Trainer (pid {status.pid}) died after step {status.step}"
    if status.state == "queued":
        reason = f"The process {status.pid} that waited for {status.after} died before it ended"
    if kernel is None or kernel.oom_kills is None or kernel.boot_id != boot_id():
        return reason
    now = recount(kernel.oom_kills)
    if now is None or now.count <= kernel.oom_kills.count:
        return reason
    return f"{reason}: out of memory (its control group has had a kill since its last heartbeat)"


def _process_alive(status: Status) -> bool | None:
    try:
        started = process_start(status.pid)
    except PermissionError:  # it exists; only the heartbeat can tell more
        return None
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
    if not isinstance(data["host"], str):
        raise TypeError("host is not text")
    for key in ("error", "after"):
        if not isinstance(data.get(key), str | None):
            raise TypeError(f"{key} is not text")
    kernel = parse_kernel(data.get("kernel"))
    return Status(
        state=data["state"],
        pid=data["pid"],
        host=data["host"],
        process_started=float(data["process_started"]),
        step=data["step"],
        heartbeat=float(data["heartbeat"]),
        error=data.get("error"),
        kernel=kernel,
        after=data.get("after"),
    )
