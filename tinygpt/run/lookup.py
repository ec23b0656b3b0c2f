"""Finds the run that a name on the command line means."""

from __future__ import annotations

import os
from pathlib import Path

from tinygpt.errors import RunError
from tinygpt.files.paths import access_problem
from tinygpt.run.group import is_group
from tinygpt.run.layout import VARIANTS, StrPath, is_run, list_steps, parse_step


def find_run(name: str, out: StrPath) -> Path:
    """The directory of a run, or of a variant or step in it: by its path, or by its name in `out`.

    A folder that is none of these hides no run of the same name in `out`.

    Raises:
        RunError: there is none, or it cannot be looked at.
    """
    candidates = _places(name, out)
    for accepted in (run_of, _has_checkpoints):
        for path in candidates:
            if accepted(path):
                return path
    for path in candidates:
        if why := access_problem(path):
            raise RunError(f"cannot look into {path}: {why}")
    for path in candidates:
        if is_group(path):
            raise RunError(f"{path} is a group of runs: name one of them")
        if os.path.exists(path):
            raise RunError(f"{path} is not a run: it has none of a run's files")
    raise RunError(f"there is no run {name!r}, neither as a path nor in {os.fspath(out)}")


def find_run_or_group(name: str, out: StrPath) -> Path:
    """The directory of a run or of a group: by its path, or by its name in `out`.

    Raises:
        RunError: there is none, or it cannot be looked at.
    """
    candidates = _places(name, out)
    if group := next((path for path in candidates if is_group(path)), None):
        return group
    path = find_run(name, out)
    return run_of(path) or path


def run_of(path: Path) -> Path | None:
    """The run directory of a run, variant or step directory; None for any other path."""
    if is_run(path):
        return path
    absolute = path.absolute()
    if parse_step(absolute.name) is not None:
        absolute = absolute.parent
    inner = absolute.name in VARIANTS and os.path.isdir(path)
    return absolute.parent if inner and is_run(absolute.parent) else None


def _places(name: str, out: StrPath) -> list[Path]:
    return [Path(name), Path(out, name)] if name.strip() else []


def _has_checkpoints(path: Path) -> bool:
    """Whether it is part of a copy that has a run's models without its records."""
    if parse_step(path.absolute().name) is not None:
        return os.path.isdir(path)
    folders = [(path.parent, path.name), *((path, variant) for variant in VARIANTS)]
    return any(list_steps(run, variant) for run, variant in folders)
