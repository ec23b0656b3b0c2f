"""The writer of a run directory, and the lock that makes it the only one.

A trainer holds an flock on the file `lock` as long as it lives; the system releases it however the
process ends. On network disks locks may not reach other hosts, or not exist at all; so a trainer
also refuses a run that is active by its status (see `status`). Viewers test a second lock, which
trainers hold in addition (see `presence`).
"""

import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import tomli_w

from tinygpt import cgroup
from tinygpt.errors import RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import open_to_write
from tinygpt.run.control import Control
from tinygpt.run.layout import (
    CONTROL,
    LOCK,
    METRICS,
    RUN_TOML,
    STATUS,
    TOKENIZER,
    VARIANTS,
    StrPath,
    read_config,
)
from tinygpt.run.lines import to_json
from tinygpt.run.presence import (
    Kernel,
    boot_id,
    hold_lock,
    pid_namespace,
    process_start,
    this_host,
)
from tinygpt.run.reader import first_record
from tinygpt.run.records import SCHEMA_VERSION, CheckpointRecord, EndRecord, Record
from tinygpt.run.status import (
    HEARTBEAT_OVERDUE,
    Status,
    StatusState,
    age_on_disk,
    read_state,
    trainer_alive,
    write_status,
)

HEARTBEAT_EVERY = 2.0
"""Seconds between heartbeats: often enough for a viewer, rarely enough for a network disk."""

_BLOCK = 1 << 16


class RunWriter:
    """Writes run.toml, tokenizer.json, metrics.jsonl and status.json; made by `create` or `open`.

    Holds the run's lock until `close` or the end of the process. Forked child processes inherit the
    lock: use spawn, or fork first. In distributed training only rank 0 has a writer. Every method
    raises RunError, which names the file, if it cannot write.
    """

    def __init__(self, path: Path, lock: int, clock: Callable[[], float]) -> None:
        self.path = path
        self._lock = lock
        self._clock = clock
        self._state: StatusState = "starting"
        self._error: str | None = None
        self._process_started = process_start(os.getpid()) or 0.0
        self._written = -float("inf")  # time of the last status, unix seconds
        self._status_lock = threading.Lock()  # heartbeats may come from another thread
        self._metrics = open_to_write(path / METRICS, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            self._kernel = _this_kernel(path, self._metrics)
            self._size = _cut_torn_tail(self._metrics)
        except BaseException:
            os.close(self._metrics)
            raise

    @classmethod
    def create(
        cls,
        path: StrPath,
        config: Mapping[str, Any],
        tokenizer_json: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Create a run: lock, tokenizer.json, run.toml, empty metrics.jsonl, status "starting".

        The folder may exist with a train.log (which the interface opens before it starts the
        trainer), but not with a run. Raises RunError if it holds a run or another trainer has
        locked it; TypeError if `config` holds what TOML cannot represent (None).
        """
        run = Path(path)
        toml = tomli_w.dumps(config)
        with _os_errors_as_run_errors(run):
            atomic.make_folders(run)
            lock = lock_run(run)
            try:
                if any(os.path.lexists(run / name) for name in (RUN_TOML, METRICS, STATUS)):
                    raise RunError(
                        f"{run} already holds a run: choose another --name, or use --resume"
                    )
                atomic.write_text(run / TOKENIZER, tokenizer_json)
                atomic.write_text(run / RUN_TOML, toml)
                return cls._started(run, lock, clock, step=0)
            except BaseException:
                os.close(lock)
                raise

    @classmethod
    def open(cls, path: StrPath, *, step: int = 0, clock: Callable[[], float] = time.time) -> Self:
        """Open an existing run, to resume it from `step`; its status becomes "starting".

        Cleans up after a killed trainer: deletes temporary files and unanswered requests, and cuts
        off an incomplete last line of metrics.jsonl. Readers stop at the last newline, so none has
        seen that line; completing it with a newline instead would leave a damaged line for good.
        Raises RunError if this is not a run, another trainer has it, or a newer version wrote it.
        """
        run = Path(path)
        read_config(run)
        with _os_errors_as_run_errors(run):
            lock = lock_run(run)
            try:
                _check_schema(run)
                _check_links(run)
                for folder in (run, *(run / variant for variant in VARIANTS)):
                    atomic.remove_leftovers(folder)
                Control(run).clear()
                return cls._started(run, lock, clock, step=step)
            except BaseException:
                os.close(lock)
                raise

    @classmethod
    def _started(cls, run: Path, lock: int, clock: Callable[[], float], step: int) -> Self:
        writer = cls(run, lock, clock)
        try:
            writer.status("starting", step)
        except BaseException:
            os.close(writer._metrics)
            raise
        return writer

    @property
    def empty(self) -> bool:
        """Whether metrics.jsonl has no record yet."""
        return self._size == 0

    @property
    def last_status(self) -> tuple[StatusState, str | None]:
        """The state and error that were last written to status.json."""
        return self._state, self._error

    def append(self, record: Record) -> None:
        """Append one whole line to metrics.jsonl; a `checkpoint` and an `end` are also synced.

        If that fails, a partly written line is removed before RunError is raised.
        """
        line = (to_json(record) + "\n").encode("ascii")
        with _os_errors_as_run_errors(self.path / METRICS):
            if os.fstat(self._metrics).st_size != self._size:  # a partial line could not be removed
                os.ftruncate(self._metrics, self._size)
            try:
                _write_all(self._metrics, line)
                if isinstance(record, CheckpointRecord | EndRecord):
                    atomic.sync_to_disk(self._metrics)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._metrics, self._size)
                raise
            self._size += len(line)

    def status(self, state: StatusState, step: int, error: str | None = None) -> None:
        """Replace status.json; `error` is one sentence for the user."""
        with self._status_lock:
            self._write_status(state, step, error, durable=True)

    def heartbeat(self, step: int, every: float = HEARTBEAT_EVERY) -> None:
        """Report that the run is alive and at `step`, in its last state; call it every step.

        Writes at most once in `every` seconds, without waiting for the disk.
        """
        with self._status_lock:
            if not 0 <= self._clock() - self._written < every:  # also if the clock was set back
                self._write_status(self._state, step, self._error, durable=False)

    def close(self) -> None:
        """Sync the metrics if possible, and release the lock. Does not change the status."""
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        with suppress(OSError):
            atomic.sync_to_disk(self._metrics)
        os.close(self._metrics)
        os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_status(
        self, state: StatusState, step: int, error: str | None, *, durable: bool
    ) -> None:
        self._state, self._error, self._written = state, error, self._clock()
        status = Status(
            state=state,
            pid=os.getpid(),
            host=this_host(),
            process_started=self._process_started,
            step=step,
            heartbeat=self._written,
            error=error,
            kernel=_recounted(self._kernel),
        )
        with _os_errors_as_run_errors(self.path / STATUS):
            write_status(self.path, status, durable=durable)


@contextmanager
def _os_errors_as_run_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a RunError that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}") from error


def _this_kernel(run: Path, metrics: int) -> Kernel | None:
    """What viewers on this kernel need; takes the lock that they test, on the open metrics."""
    try:
        locked = hold_lock(metrics, run / METRICS)
    except BlockingIOError as error:  # held on another host, whose flock does not reach here
        raise RunError(f"{run} is being trained by another process: stop that first") from error
    boot = boot_id()
    if boot is None:
        return None
    return Kernel(
        boot_id=boot,
        pid_namespace=pid_namespace(),
        locked=locked,
        oom_kills=cgroup.oom_kills(),
    )


def _recounted(kernel: Kernel | None) -> Kernel | None:
    """With the out-of-memory kills so far, so that later ones can be told from them."""
    if kernel is None or kernel.oom_kills is None:
        return kernel
    return replace(kernel, oom_kills=cgroup.recount(kernel.oom_kills))


def lock_run(run: Path) -> int:
    """Lock a run as its trainer; returns the descriptor that holds the lock.

    Raises RunError, which names the process that has it.
    """
    descriptor = open_to_write(run / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        _check_inactive(run, descriptor, locked=_try_flock(run, descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": this_host()}).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_flock(run: Path, descriptor: int) -> bool:
    """Whether the lock was acquired; False if the file system has none (Lustre without flock)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            f"{run} is being trained by {_holder(descriptor)}: stop that first"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
        return False
    return True


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, _BLOCK, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, TypeError, KeyError, RecursionError):  # locked, its name not written yet
        return "another process"


def _check_inactive(run: Path, lock: int, *, locked: bool) -> None:
    """Raise RunError if another trainer is active by the run's status.

    An older version says nothing of its kernel; on this host, having its lock is enough. A trainer
    on another host may hold a lock that is not visible here (network disks mounted with local
    locks); it counts as active until its heartbeat is overdue.
    """
    state = read_state(run, heartbeat_age=partial(age_on_disk, run, lock))
    status = state.status
    if status is None or not state.active:
        return
    if locked and status.kernel is None and status.host == this_host():
        return
    unsure = trainer_alive(run, status) is None
    wait = f"; if it is gone, try again in {HEARTBEAT_OVERDUE:.0f} s" if unsure else ""
    raise RunError(
        f"{run} is being trained by process {status.pid} on {status.host}: stop that first{wait}"
    )


def _check_schema(run: Path) -> None:
    first = first_record(run)
    if first is not None and first.schema_version > SCHEMA_VERSION:
        raise RunError(
            f"{run} was written by a newer version (schema {first.schema_version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade tinygpt-tui to resume it"
        )


def _check_links(run: Path) -> None:
    """A folder that is a link may lead into another run: refuse to write through it."""
    for name in (*VARIANTS, CONTROL):
        if os.path.islink(run / name):
            raise RunError(f"{run / name} is a link: a run is written only inside its own folder")


def _cut_torn_tail(descriptor: int) -> int:
    """Truncate a file after its last newline; returns the new size in bytes."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
