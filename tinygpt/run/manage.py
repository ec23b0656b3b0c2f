"""Renames and deletes whole runs, removes failed starts, and says whether one can be resumed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tinygpt import hints
from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_to_write
from tinygpt.run import LOCK, LOG, RunState, read_state, validate_run_name
from tinygpt.run.settings import stored_settings
from tinygpt.run.status import age_on_disk


def resume_problem(path: Path, state: RunState) -> str | None:
    """Why a run cannot be resumed, in a sentence; None if it can."""
    if state.state == "queued":
        return f"{path.name} is queued: it {state.reason}."
    if state.active:
        return f"{path.name} is already being trained."
    if state.state == "done":
        more, option = _later_end(path, state)
        command = hints.resume_in_app(path, *option)
        return f"{path.name} is finished. To train longer, set {more}: {command}"
    if not state.resumable:
        return f"{path.name} cannot be resumed: {state.reason}"
    return None


def _later_end(path: Path, state: RunState) -> tuple[str, list[str]]:
    """What to set so that a finished run goes on, in words and as options."""
    step = state.status.step if state.status else 0
    try:
        stored = stored_settings(path)
    except RunError:
        stored = {}
    steps = stored.get("steps") or 0
    options = []
    if not steps or step < steps:
        if minutes := stored.get("minutes"):
            options += ["--minutes", f"{2 * minutes:g}"]
        if loss := stored.get("target_loss"):
            options += ["--target-loss", f"{0.9 * loss:.3g}"]
        if stored.get("patience"):
            options += ["--patience", "0"]
    if options:
        return "a later end", options
    return "more steps", ["--steps", str(2 * max(step, steps, 1))]


def rename_problem(path: Path, name: str) -> str | None:
    """Why the run `path` cannot be called `name`; None if it can."""
    try:
        validate_run_name(name)
    except RunError as error:
        return str(error)
    if os.path.lexists(path.with_name(name)):
        return f"a run named {name!r} already exists: choose another name"
    return None


def rename_run(path: Path, name: str) -> Path:
    """Rename the run `path`; returns its new path.

    Raises:
        RunError: the name is invalid or taken, the run is being trained, or renaming fails.
    """
    if problem := rename_problem(path, name):
        raise RunError(problem)
    target = path.with_name(name)
    with _locked(path, "renamed"):
        path.rename(target)
    return target


def delete_run(path: Path) -> None:
    """Delete the run `path` with its checkpoints; if it is a link, only the link.

    It gets a hidden name before its files are deleted, so that an interrupted deletion leaves no
    half run in the list.

    Raises:
        RunError: the run is being trained, or deleting fails.
    """
    with _locked(path, "deleted"):
        if os.path.islink(path):
            path.unlink()
            return
        hidden = path.with_name(f".deleted-{os.getpid()}-{path.name}")
        path.rename(hidden)
        shutil.rmtree(hidden)


def remove_stub(path: Path) -> None:
    """Remove the folder of a failed start, if it contains nothing but a log and a lock that no
    trainer holds; what cannot be removed stays."""
    with suppress(OSError, RunError), _locked(path, "removed"):
        if {entry.name for entry in path.iterdir()} <= {LOG, LOCK}:
            for name in (LOG, LOCK):
                (path / name).unlink(missing_ok=True)
            path.rmdir()


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    """Hold the run's lock, if it has one, so that no trainer starts in the meantime."""
    try:
        lock = _acquire_lock(path, what)
        try:
            age = None if lock is None else partial(age_on_disk, path, lock)
            if read_state(path, heartbeat_age=age).active:
                raise RunError(active_problem(path, what))
            yield
        finally:
            if lock is not None:
                os.close(lock)
    except OSError as error:
        raise RunError(f"{path} cannot be {what}: {error.strerror}") from error


def _acquire_lock(path: Path, what: str) -> int | None:
    try:
        descriptor = open_to_write(path / LOCK, os.O_RDWR)
    except OSError:  # never trained, or no permission: then the change itself will fail
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunError(active_problem(path, what)) from error
    except OSError:  # a file system without locks: rely on the state checked before
        pass
    return descriptor


def active_problem(path: Path, what: str) -> str:
    """Why a run that is being trained cannot be `what` ("renamed", "deleted")."""
    return f"{path.name} is being trained: stop it before it is {what}"
