"""The command in a process of its own: progress, JSON, exit codes, signals, kills."""

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exactness import exact
from tests.helpers.trainer import SHAPE, command, environment
from tests.helpers.waiting import PATIENCE, until
from tinygpt.errors import TinyGPTError
from tinygpt.run import MetricsReader, TrainRecord, list_steps, read_config, read_state
from tinygpt.training.report import comparison, duration


def run(cwd: Path, *arguments: str, script: str = "tinygpt_tui") -> Any:
    return subprocess.run(
        command(*arguments, script=script),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def start(cwd: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen,  # noqa: PLW1509 - the tests have no threads by then
    )


def listen() -> None:
    """Signals as from a terminal: who starts the tests may have them ignored (a shell's &)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def steps_taken(path: Path) -> int:
    found = [r.step for r in MetricsReader(path).read() if isinstance(r, TrainRecord)]
    return max(found, default=0)


@pytest.fixture
def endless(corpus_file: Path) -> tuple[str, ...]:
    """Arguments of a training that will not end by itself within a test."""
    return ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "1000000")


def test_json_and_plain_lines(corpus_file: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "--data", str(corpus_file), *SHAPE, "--steps", "41", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    path = tmp_path / result["run"]
    assert result["corpus"] == {
        "name": "corpus.txt",
        "sha256": read_config(path)["corpus"]["sha256"],
        "chars": corpus_file.stat().st_size,
    }
    assert list(result["models"]) == ["dense", "moe"]
    keys = {
        *("step", "tokens", "train_seconds", "wall_seconds", "val_loss", "best_val_loss"),
        *("perplexity", "params_total", "params_active", "tokens_per_second", "seconds_to_target"),
    }
    assert result["models"]["dense"].keys() == keys
    assert result["models"]["moe"].keys() == keys | {"expert_load"}
    (load,) = result["models"]["moe"]["expert_load"]
    assert len(load) == 4
    assert sum(load) == pytest.approx(1)
    lines = done.stderr.splitlines()
    assert lines[0] == f"corpus: file {corpus_file}"
    assert sum(line.startswith("dense step ") for line in lines) == 3
    assert "\x1b" not in done.stderr
    assert "validation loss" in done.stderr
    assert (path / "train.log").read_text().splitlines()[-1] == "done: all 41 steps are taken"


def test_trainer_is_a_script_too(corpus_file: Path, tmp_path: Path) -> None:
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "2", "--model", "dense")
    done = run(tmp_path, *arguments, script="trainer")
    assert done.returncode == 0, done.stderr
    assert "validation loss" in done.stdout
    assert "moe" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stepz", "3"), "--stepz is not an option: did you mean --steps?"),
        (("--steps", "three"), "--steps 'three' is not a whole number"),
        (("--steps",), "argument --steps: expected one argument"),
        (("--steps", "1" + "0" * 400), "is not a whole number"),
        (("--gpt.width", "10000000", "--data", "corpus.txt"), "does not fit the memory"),
        (("--preset", "nanoo"), "did you mean 'nano'?"),
        (("--data", "missing.txt"), "--data missing.txt does not exist"),
        (("--device", "cuda", "--data", "corpus.txt"), "--device cuda is not available here"),
        (("--config", "no.toml"), "--config no.toml cannot be read"),
        (("--config", "wrong.toml"), "there is no setting 'gpt.depth'"),
        (("--config", "corpus.txt"), "is not valid TOML"),
        (("--resume",), "--resume: there is no run in checkpoints"),
        (("--resume", "--name", "x"), "--resume: there is no run 'x'"),
        (("--name", "../x", "--data", "corpus.txt"), "'../x' cannot name a run"),
        (("--gpt.context", "2000", "--data", "corpus.txt"), "characters"),
        (("x", "y"), "is not an option"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    corpus_file: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (tmp_path / "wrong.toml").write_text("[gpt]\ndepth = 3\n")
    before = sorted(tmp_path.iterdir())
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_settings_of_a_file_go_before_presets_and_after_flags(
    corpus_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(
        f'preset = "micro"\nsteps = 3\ndata = "{corpus_file}"\n'
        "[gpt]\nlayers = 1\nheads = 2\nwidth = 8\n"
    )
    arguments = ("--config", "small.toml", "--gpt.width", "12", "--gpt.context", "7")
    done = run(tmp_path, *arguments, "--name", "a", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    config = read_config(tmp_path / "checkpoints" / "a")
    assert config["preset"] == "micro"
    assert (config["steps"], config["gpt"]["layers"], config["gpt"]["width"]) == (3, 1, 12)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_leaves(
    endless: tuple[str, ...], tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "runs" / "a"
    with start(tmp_path, *endless) as process:
        until(lambda: path.is_dir() and steps_taken(path) >= 3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert f"stopped ({number.name}), checkpoints are saved" in errors
    assert "Traceback" not in errors
    state = read_state(path)
    assert state.state == "stopped"
    taken = steps_taken(path)
    assert [list_steps(path, v)[-1] for v in ("dense", "moe")] == [taken, taken]
    assert run(tmp_path, "--resume", "--out", "runs", "--steps", str(taken + 2)).returncode == 0
    assert steps_taken(path) == taken + 2


def test_killed_and_resumed_equals_uninterrupted(corpus_file: Path, tmp_path: Path) -> None:
    """kill -9 at whatever moment; three times, at least two of them in the middle."""
    shape = ("--data", str(corpus_file), *SHAPE, "--steps", "120")
    assert run(tmp_path, *shape, "--name", "whole").returncode == 0
    path = tmp_path / "runs" / "killed"
    arguments: tuple[str, ...] = (*shape, "--name", "killed")
    for wanted in (17, 50, 83):
        with start(tmp_path, *arguments) as process:
            until(lambda: path.is_dir() and steps_taken(path) >= wanted)  # noqa: B023
            process.kill()
        assert read_state(path).state in ("killed", "done")
        arguments = ("--resume", "--name", "killed", "--out", "runs")
    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert exact(path) == exact(tmp_path / "runs" / "whole")
    assert read_state(path).state == "done"


def test_a_run_in_training_is_not_taken_twice(endless: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    with start(tmp_path, *endless) as process:
        until(lambda: path.is_dir() and steps_taken(path) >= 11)
        second = run(tmp_path, "--resume", "--out", "runs")
        assert second.returncode == 2
        assert f"is being trained by process {process.pid}" in second.stderr
        process.terminate()
        process.communicate()
    assert read_state(path).state == "stopped"


def test_nobody_listens_any_more(corpus_file: Path, tmp_path: Path) -> None:
    """The terminal or the pipe that showed the progress is gone: training goes on to its end."""
    path = tmp_path / "runs" / "a"
    arguments = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "60")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        until(lambda: path.is_dir() and steps_taken(path) >= 3)
        os.close(ours)
    assert process.returncode == 0
    assert read_state(path).state == "done"


def test_progress_bars_on_a_terminal(corpus_file: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "200", "--name", "a")
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        drawn = b""
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                drawn += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        process.communicate()
    os.close(ours)
    assert process.returncode == 0
    text = drawn.decode()
    assert "\x1b[" in text
    assert "step 200" in text
    for word in ("dense", "moe", "loss", "val", "ppl", "tok/s", "left"):
        assert word in text
    assert "dense step" in (tmp_path / "runs" / "a" / "train.log").read_text()


def test_the_disk_that_refuses_is_named(corpus_file: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    done = run(tmp_path, "--data", str(corpus_file), *SHAPE, "--steps", "2")
    assert done.returncode == 2
    assert "runs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_loss_that_explodes_leaves_valid_json(corpus_file: Path, tmp_path: Path) -> None:
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "3", "--json")
    wild = {"learning-rate": "3000", "warmup": "0", "average": "0"}
    done = run(tmp_path, *arguments, *(w for k, v in wild.items() for w in (f"--optim.{k}", v)))
    assert done.returncode in (0, 1)
    models = json.loads(done.stdout.splitlines()[-1])["models"]
    assert models["dense"]["perplexity"] is None
    assert "Traceback" not in done.stderr


def test_closing_table() -> None:
    dense = {"val_loss": 1.5, "step": 2000, "train_seconds": 187.0, "perplexity": None}
    rows = comparison({"dense": dense, "moe": {**dense, "val_loss": 1.25}})
    assert rows[0] == ["", "dense", "moe", "moe - dense"]
    assert rows[1] == ["validation loss", "1.5000", "1.2500", "-0.2500"]
    assert ["perplexity", "-", "-", ""] in rows
    assert ["steps", "2,000", "2,000", ""] in rows
    assert ["training time", "3:07 min", "3:07 min", ""] in rows


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (7500, "2:05 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_errors_are_value_errors() -> None:
    assert issubclass(TinyGPTError, ValueError)
