"""Lists the runs in a folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinygpt.errors import RunError
from tinygpt.files.paths import access_problem
from tinygpt.run.layout import RUN_TOML, StrPath, is_run, read_config
from tinygpt.run.queue import read_entry
from tinygpt.run.reader import first_record
from tinygpt.run.records import StartRecord
from tinygpt.run.status import RunState, read_state


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run in a list; `created` in unix seconds, `corpus` its name, None if unknown."""

    name: str
    path: Path
    state: RunState
    created: float
    corpus: str | None


def list_runs(out: StrPath, now: float | None = None) -> list[RunInfo]:
    """The runs in the folder `out`, newest first. Unreadable runs have the reason in their state.

    Skips folders that hold none of a run's files, and names that start with ".". A missing `out`
    has no runs. Raises RunError if `out` cannot be listed.
    """
    folder = Path(out)
    try:
        with os.scandir(folder) as entries:
            paths = [folder / entry.name for entry in entries if _may_be_run(entry)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot list the runs in {folder}: {error.strerror}") from error
    runs = [_info(path, now) for path in paths]
    return sorted(runs, key=lambda run: (-run.created, run.name))


def newest_run(out: StrPath, now: float | None = None) -> RunInfo | None:
    """The most recently created run in `out` that can be read."""
    return _newest(list_runs(out, now))


def live_run(out: StrPath, now: float | None = None) -> RunInfo | None:
    """The newest run in `out` that is being trained: live before paused."""
    return _live(list_runs(out, now))


def current_run(out: StrPath, now: float | None = None) -> RunInfo | None:
    """The run in `out` to show by default: the live one, else the newest."""
    runs = list_runs(out, now)
    return _live(runs) or _newest(runs)


def _newest(runs: list[RunInfo]) -> RunInfo | None:
    return next((run for run in runs if run.state.state != "unreadable"), None)


def _live(runs: list[RunInfo]) -> RunInfo | None:
    for state in ("live", "paused"):
        for run in runs:
            if run.state.state == state:
                return run
    return None


def _may_be_run(entry: os.DirEntry[str]) -> bool:
    """Whether it is a run, or a folder that cannot be looked into, to be listed as unreadable."""
    if entry.name.startswith("."):
        return False
    return is_run(entry) or (not os.path.isfile(entry) and access_problem(entry) is not None)


def _info(path: Path, now: float | None) -> RunInfo:
    state = read_state(path, now)
    config: dict[str, Any] = {}
    try:
        config = read_config(path)
    except RunError as error:
        if state.state != "new" and read_entry(path) is None:
            state = replace(state, state="unreadable", reason=str(error))
    start = first_record(path)
    return RunInfo(
        name=path.name,
        path=path,
        state=state,
        created=_created(path, start),
        corpus=_corpus(config, start),
    )


def _created(path: Path, start: StartRecord | None) -> float:
    """Time of the first record, else of run.toml, which is written once, else of the folder."""
    if start is not None:
        return start.time
    for file in (path / RUN_TOML, path):
        try:
            return file.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _corpus(config: dict[str, Any], start: StartRecord | None) -> str | None:
    for corpus in (config.get("corpus"), start.corpus if start else None):
        if isinstance(corpus, dict) and isinstance(corpus.get("name"), str):
            return str(corpus["name"])
    return None
