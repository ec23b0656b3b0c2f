"""One writer per run: what it writes, repairs and refuses, and the lock."""

import dataclasses
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.namespaces import holding
from tests.helpers.records import train
from tests.helpers.run_files import (
    CONFIG,
    NOW,
    RECORDS,
    START,
    lines,
    status,
)
from tests.helpers.waiting import PATIENCE
from tinygpt import run
from tinygpt.errors import RunError
from tinygpt.run.presence import this_host
from tinygpt.run.status import write_status


def test_create_and_read_back(folder: Path, writer: run.RunWriter) -> None:
    for record in RECORDS:
        writer.append(record)
    assert run.MetricsReader(folder).read() == RECORDS
    assert run.read_config(folder) == CONFIG
    assert (folder / run.TOKENIZER).read_text() == "{}"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "lock",
        "metrics.jsonl",
        "run.toml",
        "status.json",
        "tokenizer.json",
    ]


def test_create_takes_a_folder_with_a_log_but_not_a_run(folder: Path) -> None:
    folder.mkdir()
    (folder / run.LOG).touch()
    run.RunWriter.create(folder, CONFIG, "{}").close()
    with pytest.raises(
        RunError, match=r"already holds a run: choose another --name, or use --resume"
    ):
        run.RunWriter.create(folder, {}, "")
    assert run.read_config(folder) == CONFIG


def test_open_refuses_a_folder_without_a_run(folder: Path) -> None:
    with pytest.raises(RunError, match=r"run\.toml is missing"):
        run.RunWriter.open(folder)
    assert not folder.exists()


def test_open_cleans_up_after_a_killed_trainer(folder: Path) -> None:
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        writer.append(START)
    file = folder / run.METRICS
    reader = run.MetricsReader(folder)
    leftover = folder / "moe" / ".step-00000005.deadbeef.tmp"
    leftover.mkdir(parents=True)
    run.request(folder, "stop")
    data = lines(train("dense", 1))
    for size in range(len(data)):
        file.write_bytes(lines(START) + data[:size])
        reader.read()
        with run.RunWriter.open(folder, step=3) as writer:
            assert file.read_bytes() == lines(START)
            writer.append(train("dense", 2))
        assert reader.read() == [train("dense", 2)]
        assert not reader.restarted
        file.write_bytes(lines(START))
        reader.read()
    assert not leftover.exists()
    assert run.Control(folder).poll() == set()
    status = run.read_status(folder)
    assert status is not None
    assert (status.state, status.step) == ("starting", 3)


@pytest.mark.parametrize(
    "data", [b"", b"x" * 200_000, b"\n" + b"x" * 200_000, b"y\n" * 70_000 + b"x"]
)
def test_torn_tails_of_any_length_are_cut(folder: Path, data: bytes) -> None:
    run.RunWriter.create(folder, CONFIG, "{}").close()
    (folder / run.METRICS).write_bytes(data)
    run.RunWriter.open(folder).close()
    assert (folder / run.METRICS).read_bytes() == data[: data.rfind(b"\n") + 1]


def test_open_refuses_a_newer_schema(folder: Path) -> None:
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        writer.append(dataclasses.replace(START, schema_version=run.SCHEMA_VERSION + 1))
    with pytest.raises(RunError, match="newer version"):
        run.RunWriter.open(folder)


def test_a_full_disk_leaves_no_partial_line(
    folder: Path, writer: run.RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(START)
    real = os.write
    room = [7]

    def full(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match=r"metrics\.jsonl: No space left on device"):
        writer.append(train("dense", 1))
    monkeypatch.undo()
    writer.append(train("dense", 2))
    assert (folder / run.METRICS).read_bytes() == lines(START, train("dense", 2))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_still_takes_the_status(
    folder: Path, writer: run.RunWriter, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer.status("running", 5, "a sentence that is longer than the next one")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    states: list[tuple[run.StatusState, str | None]] = [("paused", "x" * 200), ("running", None)]
    for state, error in states:
        writer.status(state, 7, error)
        found = run.read_status(folder)
        assert found
        assert (found.state, found.step, found.error) == (state, 7, error)
    assert not list(folder.glob(".*.tmp"))


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with holding(folder) as process:
        yield process


def test_two_writers_refuse_until_the_first_is_killed(
    folder: Path, holder: subprocess.Popen[str]
) -> None:
    who = f"{holder.pid} on {this_host()}"
    with pytest.raises(RunError, match=f"is being trained by process {who}: stop that first"):
        run.RunWriter.open(folder)
    assert run.read_state(folder).state == "live"
    status = run.read_status(folder)
    assert status is not None
    assert (status.pid, status.host) == (holder.pid, this_host())
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    state = run.read_state(folder)
    assert state.state == "killed"
    assert state.reason == f"Trainer (pid {holder.pid}) died after step 5"
    holder.wait(PATIENCE)
    assert run.read_state(folder).state == "killed"
    with run.RunWriter.open(folder):
        assert run.read_state(folder).state == "live"


def test_two_writers_in_one_process_refuse(folder: Path, writer: run.RunWriter) -> None:
    with pytest.raises(RunError, match=f"process {os.getpid()}"):
        run.RunWriter.open(folder)
    writer.close()
    writer.close()
    run.RunWriter.open(folder).close()


def test_trainer_on_another_host_counts_until_its_heartbeat_is_overdue(folder: Path) -> None:
    run.RunWriter.create(folder, CONFIG, "{}").close()
    for heartbeat in (NOW, time.time(), time.time() + 86400):  # its clock does not matter
        write_status(folder, status(host="elsewhere", heartbeat=heartbeat))
        with pytest.raises(RunError, match="7 on elsewhere: stop that first; if it is gone, try"):
            run.RunWriter.open(folder)
        os.utime(folder / run.STATUS, (time.time() - 31,) * 2)
        run.RunWriter.open(folder).close()


@pytest.mark.parametrize("missing", [("flock",), ("flock", "fcntl")])
def test_without_locks_the_status_decides(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    def unsupported(*_arguments: object) -> None:
        raise OSError(38, "Function not implemented")

    for call in missing:
        monkeypatch.setattr(fcntl, call, unsupported)
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        with pytest.raises(RunError, match=f"process {os.getpid()}"):
            run.RunWriter.open(folder)
        writer.status("done", 5)
    run.RunWriter.open(folder).close()
