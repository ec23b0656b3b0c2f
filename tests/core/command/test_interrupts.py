"""Signals and kills: what is saved, which exit status, and that a resume continues exactly."""

import re
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.exactness import exact
from tests.helpers.trainer import (
    SHAPE,
    has_taken,
    run_printed,
    run_training,
    start_training,
    steps_taken,
)
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import list_steps, read_state


@pytest.fixture
def endless(corpus_file: Path) -> tuple[str, ...]:
    """Arguments of a training that will not end by itself within a test."""
    return ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "1000000")


@pytest.mark.parametrize(
    ("number", "script"),
    [
        (signal.SIGINT, "tinygpt_tui"),
        (signal.SIGINT, "trainer"),
        (signal.SIGTERM, "tinygpt_tui"),
        (signal.SIGHUP, "tinygpt_tui"),
    ],
)
def test_a_signal_saves_and_leaves(
    endless: tuple[str, ...], tmp_path: Path, number: signal.Signals, script: str
) -> None:
    """The command that it then prints continues."""
    path = tmp_path / "my runs" / "a"
    with start_training(tmp_path, *endless, "--out", "my runs", script=script) as process:
        until(partial(has_taken, path, 3), process=process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert f"stopped ({number.name}), checkpoints are saved" in errors
    assert "Traceback" not in errors
    state = read_state(path)
    assert state.state == "stopped"
    taken = steps_taken(path)
    saved = [list_steps(path, v)[-1] for v in ("dense", "moe")]
    assert max(saved) == taken
    assert min(saved) >= taken - 1  # a step in progress is given up
    (printed,) = re.findall("continue with: (.*)", errors)
    resumed = run_printed(tmp_path, f"{printed} --steps {taken + 2}")
    assert resumed.returncode == 0, resumed.stderr
    assert steps_taken(path) == taken + 2


def test_killed_and_resumed_equals_uninterrupted(corpus_file: Path, tmp_path: Path) -> None:
    """kill -9 at three moments, at least two of them during training."""
    shape = ("--data", str(corpus_file), *SHAPE, "--steps", "61")
    assert run_training(tmp_path, *shape, "--name", "whole").returncode == 0
    path = tmp_path / "runs" / "killed"
    arguments: tuple[str, ...] = (*shape, "--name", "killed")
    for wanted in (7, 23, 41):
        with start_training(tmp_path, *arguments) as process:
            until(partial(has_taken, path, wanted), process=process)
            process.kill()
        assert read_state(path).state in ("killed", "done")
        arguments = ("--resume", "--name", "killed", "--out", "runs")
    done = run_training(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert exact(path) == exact(tmp_path / "runs" / "whole")
    assert read_state(path).state == "done"


def test_a_run_in_training_is_not_taken_twice(endless: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    with start_training(tmp_path, *endless) as process:
        until(partial(has_taken, path, 11), process=process)
        second = run_training(tmp_path, "--resume", "--out", "runs")
        assert second.returncode == 2
        assert f"is being trained by process {process.pid}" in second.stderr
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert read_state(path).state == "stopped"
