"""What is done to a whole run: rename and delete it, and whether it can be resumed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_to_write
from tinygpt.run import LOCK, RunState, read_state
from tinygpt.run import validate_run_name as valid_name


def resume_problem(path: Path, state: RunState) -> str | None:
    """Why a run cannot be resumed from here, in a sentence; None if it can."""
    if state.active:
        return f"{path.name} is being trained already."
    if state.state == "done":
        more = f"--train-only --resume --name {path.name} --steps N"
        return f"{path.name} is done. To train longer, set more steps: tinygpt-tui {more}"
    if not state.resumable:
        return f"{path.name} cannot be resumed: {state.reason}"
    return None


def rename_problem(path: Path, name: str) -> str | None:
    """Why the run `path` cannot be called `name`; None if it can."""
    try:
        valid_name(name)
    except RunError as error:
        return str(error)
    if os.path.lexists(path.with_name(name)):
        return f"there is a run {name!r} already: choose another name"
    return None


def rename_run(path: Path, name: str) -> Path:
    """Call the run `path` otherwise; its new path.

    Raises:
        RunError: the name cannot be or is taken, the run is being trained, the disk refuses.
    """
    if problem := rename_problem(path, name):
        raise RunError(problem)
    target = path.with_name(name)
    with _in_hand(path, "renamed"):
        path.rename(target)
    return target


def delete_run(path: Path) -> None:
    """Delete the run `path` with its checkpoints; of a link, the link alone.

    It leaves the list at once: a deletion that is cut short leaves no half run behind.

    Raises:
        RunError: the run is being trained, or the disk refuses.
    """
    with _in_hand(path, "deleted"):
        if path.is_symlink():
            path.unlink()
            return
        hidden = path.with_name(f".deleted-{os.getpid()}-{path.name}")
        path.rename(hidden)
        shutil.rmtree(hidden)


@contextmanager
def _in_hand(path: Path, what: str) -> Iterator[None]:
    """Hold the run's lock where it has one, so that no trainer begins meanwhile."""
    if read_state(path).active:
        raise RunError(_refusal(path, what))
    try:
        lock = _locked(path, what)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)
    except OSError as error:
        raise RunError(f"{path} cannot be {what}: {error.strerror}") from error


def _locked(path: Path, what: str) -> int | None:
    try:
        descriptor = open_to_write(path / LOCK, os.O_RDWR)
    except OSError:  # it never had a trainer, or is not ours to write: the disk will say
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunError(_refusal(path, what)) from error
    except OSError:  # a disk without locks: the state has to do
        pass
    return descriptor


def _refusal(path: Path, what: str) -> str:
    return f"{path.name} is being trained: stop it before it is {what}"
