"""Whole runs are renamed and deleted, but none that is being trained."""

import fcntl
import os
import time
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.helpers.runs import make_run
from tinygpt.config import build
from tinygpt.errors import RunError
from tinygpt.run import METRICS, STATUS, RunState, RunWriter, read_state, read_status
from tinygpt.run.manage import delete_run, remove_stub, rename_run, resume_problem
from tinygpt.run.status import write_status


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three runs: live, done, killed."""
    make_run(tmp_path, "live", {"preset": "micro"}, "live")
    make_run(tmp_path, "done", {"preset": "micro"}, "done", ago=500)
    make_run(tmp_path, "killed", {"model": "moe"}, "killed", ago=90000, losses=(1.75,))
    return tmp_path


def test_a_run_is_renamed_and_deleted(out: Path) -> None:
    renamed = rename_run(out / "done", "baseline")
    assert renamed == out / "baseline"
    assert read_state(renamed).state == "done"
    delete_run(renamed)
    assert sorted(path.name for path in out.iterdir()) == ["killed", "live"]


def test_delete_and_rename_refuse(out: Path) -> None:
    for change in (lambda: delete_run(out / "live"), lambda: rename_run(out / "live", "x")):
        with pytest.raises(RunError, match="live is being trained"):
            change()
    with pytest.raises(RunError, match="already"):
        rename_run(out / "done", "killed")
    with pytest.raises(RunError, match="cannot name a run"):
        rename_run(out / "done", "../x")
    with pytest.raises(RunError, match="nothing cannot be deleted"):
        delete_run(out / "nothing")
    with RunWriter.open(out / "done") as writer:
        writer.status("stopped", 500)  # over, by its word; but the lock is held
        with pytest.raises(RunError, match="is being trained"):
            delete_run(out / "done")


def test_another_host_counts_while_it_writes_whatever_its_clock_says(out: Path) -> None:
    run = out / "done"
    status = read_status(run)
    assert status is not None
    ahead = replace(status, state="running", host="gone", kernel=None, heartbeat=9e9)
    (run / METRICS).write_bytes(b"")  # without its end
    write_status(run, ahead)
    with pytest.raises(RunError, match="done is being trained"):
        delete_run(run)
    os.utime(run / STATUS, (time.time() - 31,) * 2)
    delete_run(run)
    assert not run.exists()


def test_only_what_no_trainer_holds_is_a_stub(out: Path) -> None:
    stub = out / "stub"
    stub.mkdir()
    (stub / "train.log").write_text("--steps 'x' is not a whole number\n")
    with open(stub / "lock", "w") as lock:  # of another trainer, which has written no file yet
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_stub(stub)
        assert stub.exists()
    remove_stub(stub)
    remove_stub(out / "done")
    assert sorted(path.name for path in out.iterdir()) == ["done", "killed", "live"]


def test_delete_of_a_link_spares_its_target(out: Path) -> None:
    (out / "link").symlink_to(out / "done")
    delete_run(out / "link")
    assert (out / "done" / "run.toml").exists()
    assert not (out / "link").is_symlink()


@pytest.mark.parametrize(
    ("end", "later"),
    [
        ({"minutes": 7}, "set a later end: * --minutes 14"),
        ({"patience": 3, "target_loss": 1.5}, "set a later end: * --target-loss 1.35 --patience 0"),
        ({"steps": 500, "minutes": 7}, "set more steps: * --steps 1000"),
    ],
)
def test_the_end_that_was_reached_is_the_one_to_move(
    tmp_path: Path, end: dict[str, object], later: str
) -> None:
    run = make_run(tmp_path, "a", {"preset": "micro", "model": "dense", **end}, "done", step=500)
    assert fnmatch(str(resume_problem(run, read_state(run))), f"*{later}")


def test_only_what_ended_early_can_be_resumed(out: Path) -> None:
    problems = {
        name: resume_problem(out / name, read_state(out / name))
        for name in ("live", "done", "killed")
    }
    assert problems["killed"] is None
    assert "live is already being trained" in (problems["live"] or "")
    steps = build({"preset": "micro"}).steps
    assert steps
    assert str(problems["done"]).endswith(
        f"tinygpt-tui done --out {out} --resume --steps {2 * steps}"
    )
    stalled = RunState(state="stalled", reason="no heartbeat")
    assert resume_problem(out / "x", stalled) is None
    unreadable = RunState(state="unreadable", reason="run.toml is missing")
    assert resume_problem(out / "x", unreadable) == "x cannot be resumed: run.toml is missing"
