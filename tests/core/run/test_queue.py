"""A run's place in the queue."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.helpers.waiting import until
from tinygpt.errors import RunError
from tinygpt.run import CONTROL, RUN_TOML, STATUS, RunWriter, list_runs, queue, read_state, request
from tinygpt.run.manage import delete_run
from tinygpt.run.queue import STARTING, Queued, is_busy, read_entry
from tinygpt.run.status import Status, write_status

EVERY = 0.01


def begun(path: Path) -> RunWriter:
    return RunWriter.create(path, {"preset": "nano"}, "{}")


class Waiting(threading.Thread):
    """Waits as a trainer does, in a thread."""

    def __init__(self, queued: Queued) -> None:
        super().__init__(daemon=True)
        self.queued = queued
        self.begins: bool | None = None
        self.start()

    def run(self) -> None:
        self.begins = self.queued.wait(EVERY)

    def ended(self) -> bool:
        return not self.is_alive()


def test_a_queued_run_is_listed_with_what_it_waits_for(tmp_path: Path) -> None:
    with begun(tmp_path / "first"):
        queued = Queued(tmp_path / "second", tmp_path / "first", ["--steps", "7"])
        state = read_state(tmp_path / "second")
        assert state.state == "queued"
        assert state.active
        assert state.reason.startswith("begins when first ends (process ")
        assert {run.name: run.state.state for run in list_runs(tmp_path)} == {
            "first": "live",
            "second": "queued",
        }
        with pytest.raises(RunError, match="is being trained"):
            Queued(tmp_path / "second", tmp_path / "first", [])
        with pytest.raises(RunError, match="stop it before it is deleted"):
            delete_run(tmp_path / "second")
        queued.cancel()
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("how", ["done", "stopped", "failed", "killed", "deleted"])
def test_it_begins_however_the_other_run_ends(tmp_path: Path, how: str) -> None:
    first = begun(tmp_path / "first")
    queued = Queued(tmp_path / "second", tmp_path / "first", [])
    waiting = Waiting(queued)
    first.status("paused", 3)
    assert queued._is_busy(0.0), "a pause is not the end"
    if how in ("done", "stopped", "failed"):
        first.status(how, 5)  # type: ignore[arg-type]
        first.close()
    elif how == "deleted":
        first.close()
        for file in sorted((tmp_path / "first").iterdir()):
            file.unlink()
        (tmp_path / "first").rmdir()
    else:
        status = json.loads((tmp_path / "first" / STATUS).read_text())
        gone = {**status, "pid": 2**22 + 7}
        (tmp_path / "first" / STATUS).write_text(json.dumps(gone))
        first.close()
    until(waiting.ended)
    assert waiting.begins
    queued.begin()
    with begun(tmp_path / "second"):
        assert read_state(tmp_path / "second").state == "live"
    assert read_entry(tmp_path / "second") is None


def test_requests_end_the_wait(tmp_path: Path) -> None:
    with begun(tmp_path / "first"):
        for wish, begins in (("stop", False), ("begin", True)):
            path = tmp_path / wish
            waiting = Waiting(Queued(path, tmp_path / "first", []))
            request(path, wish)  # type: ignore[arg-type]
            until(waiting.ended)
            assert waiting.begins is begins
            waiting.queued.begin()
            assert os.listdir(path) == [], "no request is left for the training"


def test_to_delete_its_folder_cancels_it(tmp_path: Path) -> None:
    with begun(tmp_path / "first"):
        waiting = Waiting(Queued(tmp_path / "second", tmp_path / "first", []))
        shutil.rmtree(tmp_path / "second")
        until(waiting.ended)
        assert waiting.begins is False


def test_a_disk_that_cannot_be_written_costs_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of waiting are not lost to a minute without space."""
    monkeypatch.setattr(queue, "HEARTBEAT_EVERY", 0.0)
    with begun(tmp_path / "first") as first:
        queued = Queued(tmp_path / "second", tmp_path / "first", [])
        status = tmp_path / "second" / STATUS
        status.unlink()
        status.mkdir()  # nothing can be written there
        tries = []

        def write(run: Path, status: Status) -> None:
            tries.append(status)
            write_status(run, status)

        monkeypatch.setattr(queue, "write_status", write)
        waiting = Waiting(queued)
        until(lambda: len(tries) > 2)
        assert waiting.is_alive()
        status.rmdir()
        until(lambda: read_state(tmp_path / "second").state == "queued")
        first.status("done", 7)
    until(waiting.ended)
    assert waiting.begins


def test_a_run_that_cannot_be_looked_at_has_not_ended(tmp_path: Path) -> None:
    link = tmp_path / "first"
    link.symlink_to(link)
    queued = Queued(tmp_path / "second", link, [])
    waiting = Waiting(queued)
    assert queued._is_busy(0.0)
    link.unlink()
    until(waiting.ended)
    assert waiting.begins


def test_a_lock_tells_where_a_status_does_not(tmp_path: Path) -> None:
    """A later version may write what this one cannot read."""
    path = tmp_path / "first"
    with begun(path):
        (path / STATUS).write_text('{"state": "dreaming"}')
        assert read_state(path).state == "unreadable"
        assert is_busy(path, read_state(path), 0.0)
    assert not is_busy(path, read_state(path), 0.0)


def test_in_a_chain_a_cancelled_run_hands_on_what_it_waited_for(tmp_path: Path) -> None:
    with begun(tmp_path / "first") as first:
        second = Queued(tmp_path / "second", tmp_path / "first", [])
        third = Queued(tmp_path / "third", tmp_path / "second", [])
        waiting = Waiting(third)
        assert third._is_busy(0.0)
        second.cancel()
        until(lambda: "when first ends" in read_state(tmp_path / "third").reason)
        assert waiting.is_alive()
        first.status("done", 7)
    until(waiting.ended)
    assert waiting.begins


def test_a_chain_waits_for_a_run_that_is_about_to_begin(tmp_path: Path) -> None:
    """Between the queue and its first status, a run is only a folder."""
    second = Queued(tmp_path / "second", tmp_path / "first", [])
    third = Queued(tmp_path / "third", tmp_path / "second", [])
    now = (tmp_path / "second").stat().st_mtime
    second.begin()
    assert third._is_busy(now + STARTING - 1)
    assert not third._is_busy(now + STARTING + 60), "it never began"


def test_a_killed_process_leaves_what_is_needed_to_start_the_run(tmp_path: Path) -> None:
    Queued(tmp_path / "second", tmp_path / "first", ["--steps", "7"])
    file = tmp_path / "second" / STATUS
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": 2**22 + 7}))
    (run,) = list_runs(tmp_path)
    assert run.state.state == "killed"
    assert "waited for first" in run.state.reason
    entry = read_entry(tmp_path / "second")
    assert entry is not None
    assert (entry.after, entry.arguments) == ("first", ("--steps", "7"))


def test_a_run_that_could_not_begin_says_why(tmp_path: Path) -> None:
    queued = Queued(tmp_path / "second", tmp_path / "first", ["--steps", "7"])
    queued.begin()
    queued.fail("out of memory")
    (run,) = list_runs(tmp_path)
    assert (run.state.state, run.state.reason) == ("failed", "out of memory")
    assert read_entry(tmp_path / "second") is not None
    (tmp_path / "second" / RUN_TOML).write_text("")
    (tmp_path / "second" / STATUS).unlink()
    queued.fail("its writer has reported already")
    assert not (tmp_path / "second" / STATUS).exists()


def test_no_place_in_the_folder_of_a_run(tmp_path: Path) -> None:
    begun(tmp_path / "first").close()
    (tmp_path / "first" / STATUS).unlink()
    with pytest.raises(RunError, match="already holds a run"):
        Queued(tmp_path / "first", tmp_path / "other", [])
    assert not (tmp_path / "first" / CONTROL).exists()


def test_busy_is_what_is_trained_or_about_to_be(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    now = path.stat().st_mtime
    assert is_busy(path, read_state(path), now)
    assert not is_busy(path, read_state(path), now + STARTING)
    assert not is_busy(tmp_path / "none", read_state(tmp_path / "none"), now)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"after": 1, "arguments": []}', "{" * 100_000])
def test_a_damaged_entry_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "queue.json").write_text(text)
    assert read_entry(tmp_path) is None
