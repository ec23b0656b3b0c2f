"""Start training in a separate process that outlives the app, its terminal and a hangup.

The child has its own session (so a terminal's signals do not reach it), ignores SIGHUP, reads no
input and writes to its run's train.log. Its priority is lower than the app's. `nohup` and `nice`
exec each other and then Python, so that no code runs between fork and exec, which is unsafe in a
process with threads.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinygpt import child_process
from tinygpt.command import text_progress
from tinygpt.command.options import without
from tinygpt.errors import RunError, TinyGPTError
from tinygpt.escape import printable
from tinygpt.fields import flag
from tinygpt.files.atomic import make_folders
from tinygpt.files.safe_open import open_regular, open_to_write
from tinygpt.run import LOG, Status, read_status, validate_run_name
from tinygpt.run.manage import remove_stub
from tinygpt.run.presence import process_start, this_host
from tinygpt.threads import usable_cpus

NICENESS = 10
"""Half of the range: the app stays responsive, and other users' jobs do not starve the training."""

_TAIL = 1 << 14
_LOG_IS_RECENT = 4 * text_progress.LINE_EVERY
"""Seconds after which a log without a new line is no longer that of a trainer that reads."""


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    run: Path
    log_begin: int
    """Size of train.log when the child was started."""
    started: float
    """In unix seconds."""
    is_new: bool
    """Whether the run's folder was created for this child."""
    failure: str | None = None


# Global, since children belong to the process.
_CHILDREN: dict[int, _Child] = {}
_OPTIONS: list[str] = []


def set_options(words: Iterable[str]) -> None:
    """Options of every trainer that is started from now on, unless those of its run differ."""
    _OPTIONS[:] = words


def gpus() -> str | None:
    """What ``--gpus`` says among them; None if nothing does."""
    prefix = f"{flag('gpus')}="
    return next((w.removeprefix(prefix) for w in _OPTIONS if w.startswith(prefix)), None)


def start_training(arguments: Sequence[str], out: Path, name: str) -> int:
    """Train a new run `name` in `out` with these options; returns the pid.

    Its folder may exist, but with nothing in it (`tinygpt.run.reserve_run`) or only a log.

    Raises:
        RunError: the name is invalid or taken; the folder or the process cannot be created.
    """
    run = out / validate_run_name(name)
    there = _names_in(run)
    if there - {LOG}:
        raise RunError(f"{run} already exists: choose another --name")
    given = without(arguments, "--name", "--out")
    options = [*given, "--name", name, "--out", str(out), *_spare_threads(given)]
    return _start(options, run, is_new=not there)


def resume_training(run: Path, extra: Sequence[str] = ()) -> int:
    """Resume `run`; `extra` options may set a later end, such as ``--steps 4000``. Returns the pid.

    Raises:
        RunError: there is no such run, or the process cannot be created.
    """
    if not os.path.isdir(run):
        raise RunError(f"{run} cannot be resumed: there is no such run")
    options = ["--resume", "--name", run.name, "--out", str(run.parent), *_spare_threads(extra)]
    return _start([*options, *extra], run, is_new=False)


def poll_children() -> dict[int, int]:
    """Exit statuses of the children that have ended, by pid.

    Call it regularly: children that ended stay zombies until they are polled.
    """
    polled = {pid: child.process.poll() for pid, child in list(_CHILDREN.items())}
    return {pid: status for pid, status in polled.items() if status is not None}


def early_failure(pid: int) -> str | None:
    """Why the child `pid` ended before it reported a status; None if it reported or still runs.

    If it failed, a new run's folder with nothing but a log is removed, which frees its name.
    """
    child = _CHILDREN.get(pid)
    if child is None or child.process.poll() in (None, 0) or _reported(child):
        return None
    if child.failure is None:
        child.failure = _last_log_line(child)
        if child.is_new:
            remove_stub(child.run)
    return child.failure


def has_reported(pid: int, status: Status) -> bool:
    """Whether the child `pid`, or a process that it has started to train, wrote this status."""
    if status.host != this_host():
        return False
    child = _CHILDREN.get(pid)
    return status.pid == pid or (child is not None and status.process_started > child.started)


def progress(pid: int) -> str | None:
    """How far the child `pid` is in reading a large corpus before it trains; None if it is not."""
    child = _CHILDREN.get(pid)
    if child is None or child.process.poll() is not None:
        return None
    line = _last_line(child.run, child.log_begin)
    return line if line is not None and text_progress.is_progress(line) else None


def logged_progress(run: Path) -> str | None:
    """`progress` of a trainer that was started elsewhere, by the log of `run`; None if that is
    older than trainers report."""
    with suppress(OSError), open_regular(run / LOG) as log:
        if time.time() - os.fstat(log.fileno()).st_mtime < _LOG_IS_RECENT:
            line = _last_line(run)
            return line if line is not None and text_progress.is_progress(line) else None
    return None


def stop_starting(pid: int) -> None:
    """Ask the child `pid` to end before it trains: what it has encoded is kept in the cache."""
    child = _CHILDREN.get(pid)
    if child is not None and child.process.poll() is None:
        child.process.terminate()


def _start(options: Sequence[str], run: Path, *, is_new: bool) -> int:
    command = [
        *_background_prefix(),
        sys.executable,
        *child_process.PYTHON_OPTIONS,
        "tinygpt_tui",
        "--train-only",
        *_OPTIONS,
        *options,
    ]
    try:
        make_folders(run)
        with os.fdopen(
            open_to_write(run / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab"
        ) as log:
            begin = os.fstat(log.fileno()).st_size
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_process.environment(),
                start_new_session=True,
            )
    except OSError as error:
        if is_new:
            remove_stub(run)
        where = error.filename or run
        raise RunError(f"training cannot be started: {where}: {error.strerror}") from error
    started = process_start(process.pid) or time.time()
    _CHILDREN[process.pid] = _Child(process, run, begin, started, is_new)
    return process.pid


def _background_prefix() -> list[str]:
    """Commands that ignore SIGHUP and lower the priority, as far as they are installed."""
    tools = (("nohup",), ("nice", "-n", str(NICENESS)))
    return [word for tool in tools if shutil.which(tool[0]) for word in tool]


def _spare_threads(given: Sequence[str]) -> list[str]:
    """Options that leave one core to the app, unless the number of threads is given."""
    named = any(word.split("=")[0] == "--train.threads" for word in given)
    threads = 0 if named else spare_threads()
    return ["--train.threads", str(threads)] if threads else []


def spare_threads() -> int:
    """The threads of a run that is started here, so that one core is left to the app; 0 is torch's
    own choice, where none can be spared.

    Torch uses one thread per physical core; with hyperthreading, the second thread of each core is
    free anyway. On one or two cores, one thread less would halve the speed; there the lower
    priority is enough, since the kernel lets the app preempt training immediately.
    """
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 15 ms

    usable = usable_cpus()
    if usable <= 2 or (psutil.cpu_count(logical=False) or usable) < usable:
        return 0
    return usable - 1


def _reported(child: _Child) -> bool:
    try:
        status = read_status(child.run)
    except TinyGPTError:
        return False
    return status is not None and has_reported(child.process.pid, status)


def _last_log_line(child: _Child) -> str:
    """The last line that the child wrote to its log: its error, which is one sentence."""
    if (line := _last_line(child.run, child.log_begin)) is not None:
        return line
    status = child.process.returncode
    how = f"was killed by {_signal(-status)}" if status < 0 else f"exited with status {status}"
    return f"the training process {how} before it reported anything"


def _last_line(run: Path, begin: int = 0) -> str | None:
    """The last line in the log of a run, from byte `begin` on; None without one."""
    with suppress(OSError), open_regular(run / LOG) as log:
        log.seek(max(begin, log.seek(0, os.SEEK_END) - _TAIL))
        lines = log.read().decode(errors="replace").splitlines()
        for line in reversed(lines):
            if line.strip():
                return printable(line.strip()).removeprefix("tinygpt-tui: ")
    return None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _names_in(run: Path) -> set[str]:
    """What is in a run's folder, which need not exist yet; RunError if it cannot be one."""
    try:
        return set(os.listdir(run))
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.lexists(run):
            raise RunError(f"{run} already exists: choose another --name") from error
        return set()
    except OSError as error:
        raise RunError(f"cannot look into {run}: {error.strerror}") from error
