"""What the screen about one run shows, read from its directory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_regular
from tinygpt.run import LOG, CheckpointList, RunState, list_checkpoints, read_state
from tinygpt.run.disk import DiskUse, disk_use
from tinygpt.run.note import read_note
from tinygpt.run.reader import first_record
from tinygpt.run.settings import stored_settings
from tinygpt.tracking.state import in_words

LOG_BYTES = 1 << 18
"""Bytes of the end of train.log that are read."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run, as far as it has been read."""

    name: str
    state: RunState | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    """Its run.toml, with what resumes changed."""
    device: str = ""
    log: str = ""
    """The end of its train.log."""
    log_begin: int = 0
    """Bytes of train.log before that."""
    disk: DiskUse | None = None
    checkpoints: Mapping[str, CheckpointList] = field(default_factory=dict)
    note: str = ""
    trackers: str = ""
    """The experiment trackers that it was sent to."""
    problem: str = ""
    """Why something could not be read."""


def read_facts(path: Path) -> RunFacts:
    """All about the run directory `path`. Takes up to seconds: for a thread."""
    start = first_record(path)
    facts = RunFacts(path.name, device=start.device if start else "")
    try:
        facts = replace(facts, tables=stored_settings(path))
        facts = replace(facts, note=read_note(path))
    except RunError as error:
        facts = replace(facts, problem=str(error))
    return read_again(facts, path)


def read_again(facts: RunFacts, path: Path) -> RunFacts:
    """`facts` with what changes while a run trains: its state, log and size."""
    state = read_state(path)
    log, begin = read_log(path)
    return replace(
        facts,
        state=state,
        log=log,
        log_begin=begin,
        trackers=in_words(path),
        disk=disk_use(path),
        checkpoints=list_checkpoints(path, live=state.active),
    )


def read_log(path: Path) -> tuple[str, int]:
    """The end of the run's train.log in whole lines, and how many bytes come before it; empty if it
    cannot be read."""
    with suppress(OSError), open_regular(path / LOG) as file:
        size = file.seek(0, 2)
        begin = max(0, size - LOG_BYTES)
        file.seek(begin)
        data = file.read(LOG_BYTES)
        if begin:
            torn = data.find(b"\n") + 1
            begin, data = begin + torn, data[torn:]
        return data.decode("utf-8", "backslashreplace"), begin
    return "", 0
