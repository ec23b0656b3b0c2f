"""Training that the app starts: it outlives the app, and an early failure is reported."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers import forked, tracking
from tests.helpers.paths import ROOT
from tests.helpers.scenes import make_run
from tests.helpers.trainer import SHAPE
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.errors import RunError
from tinygpt.run import LOG, read_state, read_status, request, reserve_run
from tinygpt_tui.launch import trainer_process


@pytest.fixture
def started() -> Iterator[list[int]]:
    """Pids of trainers to kill after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if pid not in trainer_process.poll_children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    children = [c.process for pid, c in trainer_process._CHILDREN.items() if pid in pids]
    for child in children:
        child.wait(PATIENCE)


def test_survives_app_and_hangup_then_resumes(
    corpus_file: Path, tmp_path: Path, started: list[int]
) -> None:
    """The starting process is killed with its process group; then the terminal hangs up."""
    script = (
        "import sys; from pathlib import Path\n"
        "from tinygpt_tui.launch.trainer_process import start_training\n"
        "print(start_training(sys.argv[2:], Path(sys.argv[1]), 'a'), flush=True); input()"
    )
    arguments = ["--name", "b", "--data", str(corpus_file), *SHAPE, "--steps", "1000000"]
    with running(
        [sys.executable, "-c", script, str(tmp_path), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        os.killpg(app.pid, signal.SIGKILL)
    run = tmp_path / "a"
    until(lambda: read_state(run).state == "live" and _step(run))
    assert psutil.Process(pid).nice() >= trainer_process.NICENESS
    os.kill(pid, signal.SIGHUP)
    step = _step(run)
    until(lambda: _step(run) > step)
    with pytest.raises(RunError, match="already exists"):
        trainer_process.start_training([], tmp_path, "a")
    request(run, "stop")
    until(lambda: read_state(run).state == "stopped")

    pid = trainer_process.resume_training(run, ["--steps", str(_step(run) + 5)])
    started.append(pid)
    assert os.getsid(pid) != os.getsid(0)
    until(lambda: pid in trainer_process.poll_children())
    assert trainer_process.poll_children()[pid] == 0
    assert not psutil.pid_exists(pid)
    assert read_state(run).state == "done", (run / "train.log").read_text()
    assert trainer_process.early_failure(pid) is None


def _step(run: Path) -> int:
    status = read_status(run)
    return status.step if status else 0


def test_early_failure_is_the_error_message(tmp_path: Path, started: list[int]) -> None:
    pid = trainer_process.start_training(["--moe.top-k", "9"], tmp_path, "a")
    started.append(pid)
    until(lambda: trainer_process.early_failure(pid))
    said = trainer_process.early_failure(pid)
    assert said is not None
    assert said.startswith("--moe.top-k is 9, but there are only 4 experts")
    assert not (tmp_path / "a").exists(), "the name is free again"
    assert trainer_process.early_failure(pid) == said


def test_a_reserved_folder_is_used_and_freed(tmp_path: Path, started: list[int]) -> None:
    run = reserve_run(tmp_path, "nano")
    pid = trainer_process.start_training(["--moe.top-k", "9"], tmp_path, run.name)
    started.append(pid)
    assert [entry.name for entry in run.iterdir()] == ["train.log"]
    until(lambda: trainer_process.early_failure(pid))
    assert not run.exists()


def test_an_error_is_read_as_it_was_said_in_any_locale(
    tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    pid = trainer_process.start_training(["--data", "né道.txt"], tmp_path, "a")
    started.append(pid)
    until(lambda: trainer_process.early_failure(pid))
    assert "--data né道.txt does not exist" in (trainer_process.early_failure(pid) or "")


def test_early_failure_of_a_resume_keeps_the_run(tmp_path: Path, started: list[int]) -> None:
    run = tmp_path / "a"
    run.mkdir()
    (run / "train.log").write_text("an older error\n")
    pid = trainer_process.resume_training(run)
    started.append(pid)
    until(lambda: trainer_process.early_failure(pid))
    assert "run.toml is missing" in (trainer_process.early_failure(pid) or "")
    assert run.exists()


def test_a_child_that_dies_without_output(
    tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", forked.Executed)
    pid = trainer_process.start_training(["--data", "/nowhere/text"], tmp_path, "a")
    started.append(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: trainer_process.early_failure(pid))
    assert trainer_process.early_failure(pid) == (
        "the training process was killed by SIGKILL before it reported anything"
    )


def test_what_a_process_of_the_child_reports_is_the_childs_report(tmp_path: Path) -> None:
    """Of ``--gpus``, the child only starts the processes that train."""
    with make_run(tmp_path, "run") as writer:
        run = writer.path
    status = read_status(run)
    assert status is not None
    with subprocess.Popen([sys.executable, "-c", "exit(1)"]) as process:
        process.wait()
    for started, reported in ((status.process_started - 1, True), (time.time() + 60, False)):
        child = trainer_process._Child(process, run, 0, started, False)
        trainer_process._CHILDREN[process.pid] = child
        assert trainer_process.has_reported(process.pid, status) is reported
        assert (trainer_process.early_failure(process.pid) is None) is reported
        elsewhere = replace(status, host="elsewhere")
        assert not trainer_process.has_reported(process.pid, elsewhere)
    del trainer_process._CHILDREN[process.pid]
    assert not trainer_process.has_reported(process.pid, status)


def test_a_child_tells_how_far_it_has_read_its_corpus(tmp_path: Path) -> None:
    log = tmp_path / LOG
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        trainer_process._CHILDREN[process.pid] = trainer_process._Child(
            process, tmp_path, 0, 0.0, True
        )
        for line, told in (
            ("corpus: books", None),
            (
                "tinygpt-tui: encoding the corpus: 3% of 9.00 GB",
                "encoding the corpus: 3% of 9.00 GB",
            ),
            ("dense step 7", None),
        ):
            log.write_text(f"earlier\n{line}\n")
            assert trainer_process.progress(process.pid) == told
        log.write_text("encoding the corpus: 3% of 9.00 GB")
        process.communicate(b"\n")
        assert trainer_process.progress(process.pid) is None
        assert trainer_process.progress(-1) is None
        del trainer_process._CHILDREN[process.pid]


def test_a_child_is_stopped_before_it_trains(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        trainer_process._CHILDREN[process.pid] = trainer_process._Child(
            process, tmp_path, 0, 0.0, True
        )
        trainer_process.stop_starting(process.pid)
        assert process.wait() == -signal.SIGTERM
        trainer_process.stop_starting(process.pid)  # it may end by itself
        trainer_process.stop_starting(-1)
        del trainer_process._CHILDREN[process.pid]


def test_invalid_runs_are_not_started(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="path separator"):
        trainer_process.start_training([], tmp_path, "a/b")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be started"):
        trainer_process.start_training([], tmp_path / "file", "a")
    with pytest.raises(RunError, match="no such run"):
        trainer_process.resume_training(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("usable", "physical", "said", "threads"),
    [
        (2, 2, [], []),
        (8, 8, [], ["--train.threads", "7"]),
        (16, 8, [], []),
        (8, 8, ["--train.threads", "3"], []),
        (8, 8, ["--train.threads=3"], []),
    ],
)
def test_threads_leave_room(
    monkeypatch: pytest.MonkeyPatch,
    usable: int,
    physical: int,
    said: list[str],
    threads: list[str],
) -> None:
    monkeypatch.setattr(trainer_process, "usable_cpus", lambda: usable)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    assert trainer_process._spare_threads(said) == threads


def test_the_apps_trackers_follow_the_trainers_that_it_starts(
    corpus_file: Path, tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told.jsonl"
    for name, value in tracking.environment(told).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(trainer_process, "_OPTIONS", [])
    trainer_process.set_options(["--track=wandb"])
    options = ["--data", str(corpus_file), *SHAPE, "--steps", "7"]
    started.append(trainer_process.start_training(options, tmp_path, "nano"))
    until(lambda: started[0] in trainer_process.poll_children())
    steps = list(range(1, 8))
    assert tracking.logged(tracking.told_to(told)) == {"nano/dense": steps, "nano/moe": steps}
    log = (tmp_path / "nano" / LOG).read_text()
    assert log.count("wandb: nano/moe is offline") == 1
