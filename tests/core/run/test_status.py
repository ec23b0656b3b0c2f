"""The status of a run, and the state that follows from it."""

import dataclasses
import json
import os
import time
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
from tinygpt import cgroup, run
from tinygpt.errors import RunError
from tinygpt.run.presence import Kernel, boot_id, pid_namespace
from tinygpt.run.status import HeartbeatWatch, write_status


def test_status_round_trip(folder: Path) -> None:
    folder.mkdir()
    assert run.read_status(folder) is None
    for error in (None, "out of memory"):
        write_status(folder, status(state="failed", error=error))
        assert run.read_status(folder) == status(state="failed", error=error)


def written(folder: Path) -> run.Status:
    """The status without what the machine decides."""
    found = run.read_status(folder)
    assert found is not None
    return dataclasses.replace(found, kernel=None)


def test_writer_reports_itself_and_throttles_heartbeats(folder: Path) -> None:
    now = [NOW]
    with run.RunWriter.create(folder, CONFIG, "{}", clock=lambda: now[0]) as writer:
        assert written(folder) == own_status(state="starting", step=0)
        writer.status("running", 5)
        now[0] += 1.9
        writer.heartbeat(6)
        assert written(folder) == own_status(step=5)
        now[0] += 0.2
        writer.heartbeat(7)
        assert written(folder) == own_status(step=7, heartbeat=now[0])
        now[0] = NOW - 100
        writer.heartbeat(8)
        assert written(folder) == own_status(step=8, heartbeat=NOW - 100)
        writer.status("failed", 8, error="out of memory")
        state = run.read_state(folder)
    assert (state.state, state.reason, state.active) == ("failed", "out of memory", False)


@pytest.mark.parametrize(
    ("changes", "age", "expected"),
    [
        ({}, 29, "live"),
        ({}, -50, "live"),
        ({}, 31, "live"),  # without a heartbeat, but its process runs
        ({"state": "starting"}, 0, "live"),
        ({"state": "paused"}, 31, "paused"),
        ({"state": "done"}, 10**6, "done"),
        ({"state": "stopped"}, 0, "stopped"),
        ({"state": "failed", "error": "why"}, 0, "failed"),
        ({"host": "elsewhere"}, 29, "live"),
        ({"host": "elsewhere"}, 31, "stalled"),
        ({"host": "elsewhere"}, -29, "live"),
        ({"host": "elsewhere"}, -31, "stalled"),  # the future says nothing
        ({"host": "elsewhere", "state": "paused"}, -86400, "stalled"),
        ({"process_started": 1.0}, 0, "killed"),  # the pid is another process now
        ({"pid": 2**22 + 1}, 0, "killed"),  # beyond any pid
    ],
)
def test_states(folder: Path, changes: dict[str, Any], age: float, expected: str) -> None:
    folder.mkdir()
    write_status(folder, own_status(**changes))
    state = run.read_state(folder, now=NOW + age)
    assert state.state == expected
    assert state.active == (expected in ("live", "paused"))
    assert state.resumable == (expected in ("stalled", "killed", "stopped", "failed"))
    assert state.heartbeat_age == age
    assert state.silent == (state.active and age > 30)


HERE: dict[str, Any] = {"boot_id": boot_id(), "pid_namespace": pid_namespace(), "locked": None}


@pytest.mark.skipif(boot_id() is None, reason="kernels are told apart on Linux only")
@pytest.mark.parametrize(
    ("kernel", "changes", "age", "expected"),
    [
        ({}, {"host": "gone"}, 10**6, "live"),  # the process runs, whatever the host is called
        ({}, {"host": "gone", "process_started": 1.0}, 0, "killed"),
        ({"pid_namespace": 7}, {}, 29, "live"),  # its pid means another process here
        ({"pid_namespace": 7}, {"process_started": 1.0}, 29, "live"),
        ({"pid_namespace": 7}, {}, 31, "stalled"),
        ({"pid_namespace": 7, "locked": "this"}, {}, 0, "killed"),  # its lock is free
        ({"pid_namespace": 7, "locked": "other"}, {}, 29, "live"),  # of another file: a copy
        ({"boot_id": "7"}, {"process_started": 1.0}, 29, "live"),
        ({"boot_id": "7", "locked": "this"}, {"host": "gone"}, 31, "stalled"),
        ({"boot_id": "7", "locked": "this"}, {}, 31, "killed"),  # this host has restarted since
    ],
)
def test_states_by_kernel(
    folder: Path, kernel: dict[str, Any], changes: dict[str, Any], age: float, expected: str
) -> None:
    file = metrics_of(folder)
    file.touch()
    stat = file.stat()
    places = {"this": (stat.st_dev, stat.st_ino), "other": (stat.st_dev, stat.st_ino + 1)}
    known = Kernel(**HERE | kernel | {"locked": places.get(kernel.get("locked", ""))})
    write_status(folder, own_status(kernel=known, **changes))
    assert run.read_state(folder, now=NOW + age).state == expected


def test_a_heartbeat_that_changes_needs_no_common_clock(folder: Path) -> None:
    folder.mkdir()
    now = [7.0]
    watch = HeartbeatWatch(clock=lambda: now[0])

    def state_at(seconds: float, heartbeat: float) -> str:
        now[0] = 7.0 + seconds
        write_status(folder, status(host="elsewhere", heartbeat=heartbeat))
        return run.read_state(folder, heartbeat_age=watch).state

    ahead = time.time() + 86400
    assert state_at(0, ahead) == "stalled"
    assert state_at(1, ahead) == "stalled"
    assert state_at(2, ahead + 2) == "live"
    assert state_at(31, ahead + 2) == "live"
    assert state_at(33, ahead + 2) == "stalled"
    assert state_at(34, ahead - 999) == "live"  # its clock was set back


def test_an_out_of_memory_kill_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a made-up control group."""
    root = folder.parent
    group = root / "sys/fs/cgroup/job"
    for file, text in {
        root / "proc/self/cgroup": "0::/job",
        group / "memory.events": "oom 3\noom_kill 5",
        group.parent / "cgroup.controllers": "memory",
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    monkeypatch.setattr(cgroup, "ROOT", root)
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        (group / "memory.events").write_text("oom_kill 6\n")  # of another process, long ago
        writer.status("running", 5)
    died = f"Trainer (pid {os.getpid()}) died after step 5"
    state = run.read_state(folder)
    assert (state.state, state.reason) == ("killed", died)
    (group / "memory.events").write_text("oom_kill 7\n")
    state = run.read_state(folder)
    assert state.state == "killed"
    assert state.reason.startswith(f"{died}: out of memory")
    group.rename(group.with_name("gone"))
    assert run.read_state(folder).reason == died


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
    {"kernel": 7},
    {"kernel": {"boot_id": 7}},
    {"kernel": {"boot_id": "7", "pid_namespace": "7"}},
    {"kernel": {"boot_id": "7", "locked": [7]}},
    {"kernel": {"boot_id": "7", "locked": {"a": 1, "b": 2}}},
    {"kernel": {"boot_id": "7", "oom_kills": {"group": 7}}},
    {"kernel": {"boot_id": "7", "oom_kills": {"group": "7", "inode": 0.5, "count": 7}}},
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
