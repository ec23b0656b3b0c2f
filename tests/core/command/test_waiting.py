"""--after RUN: real trainers that wait for each other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.trainer import (
    SHAPE,
    command,
    endless_training,
    environment,
    run_here,
    run_training,
    start_training,
)
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.run import read_config, read_state, request
from tinygpt.run.queue import read_entry
from tinygpt.run.reader import first_record, last_end

QUICK = ("--data", "corpus.txt", *SHAPE, "--steps", "3")


@pytest.fixture
def folder(corpus_file: Path, tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text(corpus_file.read_text())
    return tmp_path


def is_in(run: Path, state: str) -> bool:
    return read_state(run).state == state


@pytest.mark.parametrize("end", ["stop", "SIGKILL"])
def test_training_begins_when_the_other_run_ends(folder: Path, end: str) -> None:
    with endless_training(folder, "first") as first:
        until(lambda: is_in(first, "live"))
        arguments = (*QUICK, "--name", "second", "--after", "first")
        with start_training(folder, *arguments) as second:
            until(lambda: is_in(folder / "runs" / "second", "queued"), process=second)
            if end == "stop":
                request(first, "stop")
            else:
                status = read_state(first).status
                assert status is not None
                os.kill(status.pid, signal.SIGKILL)
            _, errors = second.communicate(timeout=PATIENCE)
            assert second.returncode == 0, errors
            assert "queued: second begins when first ends\n" in errors
    assert is_in(folder / "runs" / "second", "done")


def test_the_end_of_a_group_is_that_of_all_its_runs(folder: Path) -> None:
    runs = folder / "runs"
    with start_training(folder, *QUICK, "--seeds", "2", "--name", "g") as group:
        until((runs / "g-s1").exists, process=group)
        done = run_training(folder, *QUICK, "--name", "second", "--after", "g")
        assert done.returncode == 0, done.stderr
        assert "queued: second begins when g ends\n" in done.stderr
        assert group.wait(PATIENCE) == 0
    begun, ended = first_record(runs / "second"), last_end(runs / "g-s2")
    assert begun is not None
    assert ended is not None
    assert ended.time <= begun.time


@pytest.mark.parametrize(("wish", "status"), [("stop", 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_queued_run_can_be_cancelled(folder: Path, wish: str | int, status: int) -> None:
    with endless_training(folder, "first") as first:
        until(lambda: is_in(first, "live"))
        second = folder / "runs" / "second"
        with start_training(folder, *QUICK, "--name", "second", "--after", str(first)) as process:
            until(lambda: is_in(second, "queued"), process=process)
            if isinstance(wish, int):
                process.send_signal(wish)
            else:
                request(second, "stop")
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, errors
        assert not second.exists()
        assert is_in(first, "live")


def test_mistakes_are_found_before_the_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "runs" / "first").mkdir(parents=True)
    (folder / "runs" / "first" / "train.log").write_text("")  # about to begin
    waits = ("--after", "first", "--name", "second")
    for options, words in (
        (("--gpt.heads", "5"), "--gpt.heads"),
        (("--data", "none.txt"), "none.txt"),
        (("--gpt.context", "1000000", "--preset", "nano"), "--gpt.context"),
        (("--name", "a/b"), "path separator"),
        (("--after", "nobody"), "there is no run 'nobody'"),
        (("--device", "cuda:99"), "--device cuda:99 is not available here"),
        (("--seeds", "2"), "--after is for a single run"),
        (("--resume",), "--after is for a new run"),
    ):
        done = run_here(capfd, *QUICK, *waits, *options)
        assert done.returncode == 2, (options, done.stderr)
        assert words in done.stderr.splitlines()[-1]
        assert not (folder / "runs" / "second").exists()


def test_waiting_takes_little_memory_and_no_torch(folder: Path) -> None:
    with endless_training(folder, "first") as first:
        until(lambda: is_in(first, "live"))
        code = (
            "import sys\n"
            "from tinygpt.run.queue import Queued\n"
            "def wait(self): print(*sys.modules); raise SystemExit\n"
            "Queued.wait = wait\n"
            "from tinygpt_tui.cli import main\n"
            "main(sys.argv[1:])\n"
        )
        arguments = command(*QUICK, "--name", "second", "--after", "first")[3:]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    loaded = set(done.stdout.split())
    assert "tinygpt.command.train" in loaded, done.stderr
    assert not loaded & {"torch", "rich", "textual"}


def test_a_run_that_cannot_begin_says_so_in_its_folder(folder: Path) -> None:
    """A mistake that only shows when the model is made, after hours of waiting."""
    with endless_training(folder, "first") as first:
        until(lambda: is_in(first, "live"))
        second = folder / "runs" / "second"
        bad = (*QUICK, "--train.sample-prompt", "日本", "--name", "second", "--after", "first")
        with running(
            command(*bad), cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            until(lambda: is_in(second, "queued"), process=process)
            request(second, "begin")
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, errors
    assert is_in(second, "failed")
    assert "--train.sample-prompt" in read_state(second).reason


def test_a_run_is_trained_as_it_was_queued(folder: Path) -> None:
    """Its --config may be that of the next run by then, and u may be pressed in another folder."""
    (folder / "mine.toml").write_text("steps = 3\n[train]\nbatch = 7\n")
    with endless_training(folder, "first") as first:
        until(lambda: is_in(first, "live"))
        second = folder / "runs" / "second"
        options = (*QUICK[:-2], "--config", "mine.toml", "--train.batch", "5", "--track", "none")
        with start_training(folder, *options, "--name", "second", "--after", "first") as process:
            until(lambda: is_in(second, "queued"), process=process)
            entry = read_entry(second)
            assert entry is not None
            kept = {f"--data={folder / 'corpus.txt'}", "--steps=3", "--train.batch=5"}
            assert kept | {"--track=none"} <= {*entry.arguments}
            assert not any("config" in word for word in entry.arguments)
            (folder / "mine.toml").write_text("steps = 0")
            request(second, "begin")
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert (read_config(second)["steps"], read_config(second)["train"]["batch"]) == (3, 5)
