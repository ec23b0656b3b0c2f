"""The status of a run, and the state that follows from it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.run_files import (
    CONFIG,
    NOW,
    START,
    end,
    lines,
    metrics_of,
    own_status,
    status,
)
from tinygpt import run
from tinygpt.errors import RunError
from tinygpt.run.status import write_status


def test_status_round_trip(folder: Path) -> None:
    folder.mkdir()
    assert run.read_status(folder) is None
    for error in (None, "out of memory"):
        write_status(folder, status(state="failed", error=error))
        assert run.read_status(folder) == status(state="failed", error=error)


def test_writer_reports_itself_and_throttles_heartbeats(folder: Path) -> None:
    now = [NOW]
    with run.RunWriter.create(folder, CONFIG, "{}", clock=lambda: now[0]) as writer:
        assert run.read_status(folder) == own_status(state="starting", step=0)
        writer.status("running", 5)
        now[0] += 1.9
        writer.heartbeat(6)
        assert run.read_status(folder) == own_status(step=5)
        now[0] += 0.2
        writer.heartbeat(7)
        assert run.read_status(folder) == own_status(step=7, heartbeat=now[0])
        now[0] = NOW - 100
        writer.heartbeat(8)
        assert run.read_status(folder) == own_status(step=8, heartbeat=NOW - 100)
        writer.status("failed", 8, error="out of memory")
        state = run.read_state(folder)
    assert (state.state, state.reason, state.active) == ("failed", "out of memory", False)


@pytest.mark.parametrize(
    ("changes", "age", "expected"),
    [
        ({}, 29, "live"),
        ({}, -50, "live"),
        ({"state": "starting"}, 0, "live"),
        ({"state": "paused"}, 29, "paused"),
        ({}, 31, "stalled"),
        ({"state": "paused"}, 31, "stalled"),
        ({"state": "done"}, 10**6, "done"),
        ({"state": "stopped"}, 0, "stopped"),
        ({"state": "failed", "error": "why"}, 0, "failed"),
        ({"host": "elsewhere"}, 29, "live"),
        ({"host": "elsewhere"}, 31, "stalled"),
        ({"process_started": 1.0}, 0, "killed"),  # the pid is another process now
        ({"pid": 2**22 + 1}, 0, "killed"),  # beyond any pid
    ],
)
def test_states(folder: Path, changes: dict[str, Any], age: float, expected: str) -> None:
    folder.mkdir()
    write_status(folder, own_status(**changes))
    state = run.read_state(folder, now=NOW + age)
    assert state.state == expected
    assert state.active == (expected in ("live", "paused", "stalled"))
    assert state.heartbeat_age == max(0, age)


def test_new_and_unreadable_states(folder: Path) -> None:
    assert run.read_state(folder).state == "unreadable"
    folder.mkdir()
    assert run.read_state(folder).state == "new"


GOOD = dataclasses.asdict(status())
BAD_STATUS: list[dict[str, Any]] = [
    {"state": "dancing"},
    {"state": []},
    {"pid": "7"},
    {"pid": -1},
    {"step": 1.5},
    {"host": None},
    {"error": 3},
    {"heartbeat": "x"},
    {"heartbeat": None},
]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "\0", "[" * 6 * 10**4, *(json.dumps(GOOD | bad) for bad in BAD_STATUS)],
)
def test_unreadable_status_names_the_file(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / run.STATUS).write_text(text)
    with pytest.raises(RunError, match=r"status\.json is not the status of a run"):
        run.read_status(folder)
    state = run.read_state(folder)
    assert state.state == "unreadable"
    assert "status.json" in state.reason


def test_an_end_without_its_status_is_no_kill(folder: Path) -> None:
    file = metrics_of(folder)
    write_status(folder, status(process_started=NOW - 60))
    file.write_bytes(lines(START, end("stopped")) + b"torn")
    state = run.read_state(folder, now=NOW)
    assert (state.state, state.reason) == ("stopped", "5 steps")
    file.write_bytes(lines(START, end("stopped", time=NOW - 100)))  # of the session before
    assert run.read_state(folder, now=NOW).state == "killed"
