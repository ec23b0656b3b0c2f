"""Training on a disk that is full, or whose folder is deleted."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exactness import exact
from tests.helpers.training import Trained, make_session, train_session
from tinygpt import checkpoint
from tinygpt.run import Record, TrainRecord, read_state


class Full:
    """A disk without room for anything, for the first `times` tries of a call of `os`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, times: int) -> None:
        self.left, self._real = times, getattr(os, call)
        monkeypatch.setattr(os, call, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._real(*arguments, **named)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, trained: Trained
) -> None:
    wanted = exact(trained())
    run, seen = tmp_path / "run", []
    made = make_session(tmp_path)
    full: list[Full] = []

    def fill(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            full.append(Full(monkeypatch, call, 5))

    def sleep(_: float) -> None:
        seen.append(read_state(run))

    assert train_session(made, observe=fill, sleep=sleep).state == "done"
    assert full
    assert seen
    assert {state.state for state in seen} == {"paused"}
    assert all("No space left on device; training continues once" in state.reason for state in seen)
    assert exact(run) == wanted
    assert read_state(run).state == "done"


def test_a_full_disk_is_not_waited_for_when_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_session(tmp_path)
    asked: list[float] = []

    def fill(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            Full(monkeypatch, "write", 1000)

    outcome = train_session(
        made, observe=fill, sleep=asked.append, interrupted=lambda: "SIGTERM" if asked else None
    )
    monkeypatch.undo()
    assert (outcome.state, len(asked)) == ("failed", 1)
    assert "metrics.jsonl: No space left on device" in str(outcome.error)
    assert read_state(tmp_path / "run").state == "failed"
    assert checkpoint.newest_resumable(tmp_path / "run", "moe")[0].step == 6


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def delete(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            shutil.rmtree(run)

    outcome = train_session(make_session(tmp_path), observe=delete)
    assert outcome.state == "failed"
    assert "No such file or directory" in str(outcome.error)
    assert not run.exists()
