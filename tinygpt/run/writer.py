"""The one writer of a run directory, and the lock that makes it the only one."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import tomli_w

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
from tinygpt.run.reader import first_record
from tinygpt.run.records import SCHEMA_VERSION, CheckpointRecord, EndRecord, Record
from tinygpt.run.status import (
    HEARTBEAT_OVERDUE,
    Status,
    StatusState,
    process_start,
    read_state,
    this_host,
    write_status,
)

HEARTBEAT_EVERY = 2.0
"""Seconds between two heartbeats: often enough for a viewer, rare enough for a network disk."""

_BLOCK = 1 << 16


class RunWriter:
    """Writes run.toml, tokenizer.json, metrics.jsonl and status.json; made by `create` or `open`.

    Holds the run's lock until `close` or the end of the process. Child processes made by fork
    inherit the lock: make them by spawn, or before. In distributed training rank 0 alone has a
    writer. Every method raises RunError, which names the file, if the disk refuses.
    """

    def __init__(self, path: Path, lock: int, clock: Callable[[], float]) -> None:
        self.path = path
        self._lock = lock
        self._clock = clock
        self._state: StatusState = "starting"
        self._error: str | None = None
        self._process_started = process_start(os.getpid()) or 0.0
        self._written = -float("inf")  # time of the last status, unix seconds
        self._metrics = open_to_write(path / METRICS, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._size = _cut_torn_tail(self._metrics)

    @classmethod
    def create(
        cls,
        path: StrPath,
        config: Mapping[str, Any],
        tokenizer_json: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Start a run: lock, tokenizer.json, run.toml, empty metrics.jsonl, status "starting".

        The folder may be there already with a train.log in it (the interface opens that before it
        starts the trainer), but not with a run. Raises RunError if it holds one or another trainer
        has it; TypeError if `config` holds what TOML cannot (None).
        """
        run = Path(path)
        toml = tomli_w.dumps(config)
        with _naming(run):
            atomic.make_folders(run)
            lock = _lock(run, clock())
            try:
                if any((run / name).exists() for name in (RUN_TOML, METRICS, STATUS)):
                    raise RunError(f"{run} holds a run already: choose another --name or --resume")
                atomic.write_text(run / TOKENIZER, tokenizer_json)
                atomic.write_text(run / RUN_TOML, toml)
                return cls._started(run, lock, clock, step=0)
            except BaseException:
                os.close(lock)
                raise

    @classmethod
    def open(cls, path: StrPath, *, step: int = 0, clock: Callable[[], float] = time.time) -> Self:
        """Take an existing run up again, to resume it from `step`; status becomes "starting".

        What a killed trainer left is put right: temporaries are deleted, requests that it did not
        answer are forgotten, and a torn last line of metrics.jsonl is cut off. Readers stop at the
        last newline, so none has seen that half line, and cutting it takes nothing back; ending it
        with a newline would leave a line that every reader skips and counts for ever. Raises
        RunError if this is no run, another trainer has it, or a newer version wrote it.
        """
        run = Path(path)
        read_config(run)
        with _naming(run):
            lock = _lock(run, clock())
            try:
                _refuse_newer(run)
                _refuse_links(run)
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
    def said(self) -> tuple[StatusState, str | None]:
        """The state and the error that status.json was last told."""
        return self._state, self._error

    def append(self, record: Record) -> None:
        """Add one whole line to metrics.jsonl. A `checkpoint` and an `end` are forced to the disk
        at once.

        What was written of a line that the disk refused is taken back before RunError is raised.
        """
        line = (to_json(record) + "\n").encode("ascii")
        with _naming(self.path / METRICS):
            if os.fstat(self._metrics).st_size != self._size:  # could not be taken back
                os.ftruncate(self._metrics, self._size)
            try:
                _write_all(self._metrics, line)
                if isinstance(record, CheckpointRecord | EndRecord):
                    atomic.force(self._metrics)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._metrics, self._size)
                raise
            self._size += len(line)

    def status(self, state: StatusState, step: int, error: str | None = None) -> None:
        """Replace status.json now; `error` is one sentence for a person."""
        self._write_status(state, step, error, durable=True)

    def heartbeat(self, step: int, every: float = HEARTBEAT_EVERY) -> None:
        """Say that the run is alive and at `step`, in the state last given; call it every step.

        Writes at most once in `every` seconds, and does not wait for the disk.
        """
        if not 0 <= self._clock() - self._written < every:  # also when the clock was set back
            self._write_status(self._state, step, self._error, durable=False)

    def close(self) -> None:
        """Force the metrics to the disk, as far as it takes them, and give the lock back. Says
        nothing about how the run ended: its `end` was forced as it was written."""
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        with suppress(OSError):
            atomic.force(self._metrics)
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
        )
        with _naming(self.path / STATUS):
            write_status(self.path, status, durable=durable)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into one sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {error.filename or path}: {error.strerror}") from error


def _lock(run: Path, now: float) -> int:
    """The descriptor that holds the lock of a run. Raises RunError that names who has it."""
    descriptor = open_to_write(run / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        _refuse_active(run, now, locked=_try_flock(run, descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": this_host()}).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_flock(run: Path, descriptor: int) -> bool:
    """Whether the lock was taken; False where the file system has none (Lustre without flock,
    say)."""
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
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
    ):  # it has the lock but has not signed yet
        return "another process"


def _refuse_active(run: Path, now: float, *, locked: bool) -> None:
    """Refuse a run whose status says that another trainer has it, where the lock cannot be trusted
    to know.

    Our lock settles it for this host. Another host's trainer may hold a lock that this one cannot
    see (network disks mounted with local locks), and so counts as there until its heartbeat is
    overdue.
    """
    state = read_state(run, now)
    status = state.status
    if status is None or not state.active:
        return
    here = status.host == this_host()
    if (here and locked) or (not here and state.state == "stalled"):
        return
    wait = f"; if it is gone, try again in {HEARTBEAT_OVERDUE:.0f} s" if not here else ""
    raise RunError(
        f"{run} is being trained by process {status.pid} on {status.host}: stop that first{wait}"
    )


def _refuse_newer(run: Path) -> None:
    first = first_record(run)
    if first is not None and first.schema_version > SCHEMA_VERSION:
        raise RunError(
            f"{run} was written by a newer version (schema {first.schema_version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade tinygpt-tui to resume it"
        )


def _refuse_links(run: Path) -> None:
    """A folder that is a link may lead into another run, which this one would write into."""
    for name in (*VARIANTS, CONTROL):
        if (run / name).is_symlink():
            raise RunError(f"{run / name} is a link, and a training writes only where its run lies")


def _cut_torn_tail(descriptor: int) -> int:
    """Cut a file behind its last newline; its size then, in bytes."""
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
