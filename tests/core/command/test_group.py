"""Groups of runs from the command line: each run in a process of its own."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.models import TEXT
from tests.helpers.tracking import PACKAGES
from tests.helpers.trainer import SHAPE, command, piped, run_here, run_printed, steps_taken
from tests.helpers.training import make_session, train_session
from tests.helpers.waiting import PATIENCE, until
from tinygpt.command import group_jobs, train
from tinygpt.command.options import training_parser
from tinygpt.run import list_runs, read_config, read_state, request
from tinygpt.run.group import is_group

DATA = ("--data", "corpus.txt", *SHAPE, "--model", "dense")
Started = list[list[str]]


def options(*words: str) -> argparse.Namespace:
    return training_parser("test", "").parse_args(words)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """The options of the runs that are to be trained, which are not; in a folder with a corpus."""
    found: Started = []

    def note(arguments: Sequence[str], _: object) -> int:
        found.append(sorted(arguments))
        return 1

    monkeypatch.setattr(group_jobs, "train", note)
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text(TEXT)
    return found


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(name: str, **settings: object) -> None:
    """An ordinary run of the group in runs/, trained here."""
    session = make_session(Path(), steps=1, **{"model": "dense", **settings})
    train_session(session)
    Path("run").rename(Path("runs", name))


@pytest.mark.usefixtures("_here")
def test_a_group_is_ordinary_runs_and_their_means(
    corpus_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    grid = ("--seeds", "2", "--grid", "optim.matrix-learning-rate=0.01,0.02")
    done = run_here(capfd, *DATA, "--steps", "3", "--name", "g", *grid, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["group"], found["unfinished"]) == ("g", {})
    names = ["g-mlr0.01-s1", "g-mlr0.02-s1", "g-mlr0.01-s2", "g-mlr0.02-s2"]
    assert [run["run"] for run in found["runs"]] == [f"runs/{name}" for name in names]
    assert sorted(run.name for run in list_runs(tmp_path / "runs")) == sorted(names)
    stored = read_config(tmp_path / "runs" / names[3])
    assert (stored["group"], stored["seed"]) == ("g", 2)
    assert stored["optim"]["matrix_learning_rate"] == 0.02
    apart = ("--seed", "2", "--optim.matrix-learning-rate", "0.02", "--name", "x", "--json")
    single = run_here(capfd, *DATA, "--steps", "3", *apart)
    (run,) = [run for run in found["runs"] if run["run"].endswith(names[3])]
    expected = json.loads(single.stdout)
    times = {"train_seconds", "wall_seconds", "tokens_per_second"}
    for key in expected["models"]["dense"].keys() - times:
        assert run["models"]["dense"][key] == expected["models"]["dense"][key]
    assert run["corpus"] == expected["corpus"]
    point = found["summary"][1]
    assert (point["settings"], point["seeds"]) == ({"optim.matrix_learning_rate": 0.02}, [1, 2])
    losses = [found["runs"][at]["models"]["dense"]["val_loss"] for at in (1, 3)]
    mean, std = sum(losses) / 2, abs(losses[0] - losses[1]) / 2**0.5
    val_loss = point["models"]["dense"]["val_loss"]
    assert val_loss == {"mean": pytest.approx(mean), "std": pytest.approx(std), "n": 2}
    row = ["0.02", "dense", "2", f"{mean:.4f}", "±", f"{std:.4f}"]
    assert any(line.split()[:6] == row for line in done.stderr.splitlines())
    again = run_here(capfd, "--resume", "--name", "g", "--out", "runs", "--json")
    assert json.loads(again.stdout) == found
    assert again.stderr.count(" is done already\n") == 4


def stopped_by(send: Callable[[Any], None], status: int, tmp_path: Path) -> str:
    """A group of two runs ends after a checkpoint of the first; the command to continue it."""
    words = command(*DATA, "--steps", "100", "--name", "g", "--seeds", "2")
    first, second = tmp_path / "runs" / "g-s1", tmp_path / "runs" / "g-s2"
    with piped(tmp_path, words, start_new_session=True) as process:
        until((first / "status.json").exists, process=process)
        request(first, "pause")  # so that it does not end before the signal
        until(lambda: read_state(first).state == "paused", process=process)
        send(process)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, said
    *_, hint = said.partition("g: stopped (SIG")[2].strip().split("continue with: ")
    assert said.count("continue with") == 1, "the command for the group, not one for the run"
    assert "g-s1: stopped at step " in said
    assert "Traceback" not in said
    assert read_state(first).state == "stopped"
    assert steps_taken(first) < 100
    assert not second.exists()
    return hint


def test_ctrl_c_ends_the_group_after_a_checkpoint(corpus_file: Path, tmp_path: Path) -> None:
    stopped_by(lambda process: os.killpg(process.pid, signal.SIGINT), 130, tmp_path)


def test_a_signal_ends_the_group_and_it_is_continued(corpus_file: Path, tmp_path: Path) -> None:
    hint = stopped_by(lambda process: process.send_signal(signal.SIGTERM), 143, tmp_path)
    done = run_printed(tmp_path, f"{hint} --json")
    assert done.returncode == 0, done.stderr
    assert "resuming runs/g-s1: dense from step" in done.stderr
    steps = [run["models"]["dense"]["step"] for run in json.loads(done.stdout)["runs"]]
    assert steps == [100, 100]


@pytest.mark.usefixtures("_here", "corpus_file")
def test_a_run_that_fails_does_not_end_the_group(capfd: pytest.CaptureFixture[str]) -> None:
    grid = ("--grid", "gpt.hidden=12,100000000000,24", "--name", "g", "--steps", "2", "--json")
    done = run_here(capfd, *DATA, *grid)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [run["settings"]["gpt.hidden"] for run in found["runs"]] == [12, 24]
    assert found["unfinished"] == {"g-hidden100000000000": "not started"}
    assert [point["seeds"] for point in found["summary"]] == [[1], [], [1]]
    assert done.stderr.count("do not fit in the memory") == 1
    assert done.stderr.splitlines()[-1] == "g-hidden100000000000: not started"


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_mistake_that_the_first_run_finds_leaves_nothing(
    tmp_path: Path, jobs: str, capfd: pytest.CaptureFixture[str]
) -> None:
    group = ("--seeds", "2", "--name", "g", "--jobs", jobs)
    done = run_here(capfd, *SHAPE, "--data", "missing.txt", *group)
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing.txt does not exist" in done.stderr.splitlines()[-1]
    assert done.stderr.count("missing.txt") == 1
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_group_without_results_says_so(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.command(options(*DATA, "--seeds", "2", "--name", "g")) == 1
    said = capsys.readouterr()
    assert said.out == "g: 0 of 2 runs are done\n"
    assert said.err.splitlines()[-2:] == ["g-s1: not started", "g-s2: not started"]


def test_the_options_of_each_run(started: Started) -> None:
    Path("x.toml").write_text("preset = 'micro'\nseed = 4\n[train]\ncompile = false\n")
    asked = ("--config", "x.toml", "--data", "corpus.txt", "--out", "runs", "--json")
    grid = ("--grid", "gpt.layers=1,2", "--seeds", "2", "--name", "g", "--preset", "auto")
    train.command(options(*asked, *grid))
    always = ["--group=g", "--json", "--out=runs", "--train.compile=false"]
    data = f"--data={Path('corpus.txt').absolute()}"
    expected = [
        [*always, data, f"--gpt.layers={n}", f"--name=g-layers{n}-s{seed}", f"--seed={seed}"]
        for seed in (4, 5)
        for n in (1, 2)
    ]
    assert started == [sorted(words) for words in expected]


def test_what_was_left_to_the_first_run_is_as_it_chose(started: Started) -> None:
    """So that another machine, or one without a network, does not choose differently."""
    train.command(options("--out", "runs", "--seeds", "2", "--name", "g"))
    trained("g-s1", preset="micro")
    toml = Path("runs", "g-s1", "run.toml")
    text = toml.read_text().replace(str(Path("corpus.txt").absolute()), "auto")
    toml.write_text(text.replace('name = "corpus.txt"', 'name = "shakespeare-standin"'))
    started.clear()
    train.command(options("--out", "runs", "--resume", "--name", "g"))
    assert [word for word in started[-1] if word.startswith(("--data", "--preset"))] == [
        "--data=shakespeare-standin",
        "--preset=micro",
    ]


def test_a_group_may_get_more_seeds_and_another_device(started: Started) -> None:
    new = (*DATA, "--grid", "optim.clip=1,2", "--steps", "5", "--name", "g")
    train.command(options(*new, "--seeds", "1"))
    trained("g-clip1.0-s1", seed=1)
    started.clear()
    train.command(options(*new, "--seeds", "2", "--resume", "--train.threads", "3"))
    names = [word for words in started for word in words if word.startswith("--name")]
    assert names == [f"--name=g-{rest}" for rest in ("clip2.0-s1", "clip1.0-s2", "clip2.0-s2")]
    assert all("--train.threads=3" in words for words in started)
    started.clear()
    train.command(options("--out", "runs", "--resume", "--name", "g"))
    assert len(started) == 3


def test_an_unfinished_run_is_resumed_with_nothing_but_its_name(started: Started) -> None:
    train.command(options(*DATA, "--seeds", "2", "--steps", "5", "--name", "g"))
    trained("g-s2")
    Path("runs", "g-s2", "status.json").unlink()
    started.clear()
    train.command(options("--out", "runs", "--resume", "--name", "g", "--device", "cpu"))
    assert started[1] == ["--device=cpu", "--json", "--name=g-s2", "--out=runs", "--resume"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seeds", "0"), "--seeds '0' is not a whole number of at least 1"),
        (("--seeds", "x"), "--seeds 'x' is not a whole number of at least 1"),
        (("--seeds", "9" * 5000), "are possible"),
        (("--jobs", "2"), "--jobs is for a group of runs: use it with --seeds or --grid"),
        (("--seeds", "2", "--jobs", "0"), "--jobs '0' is not a whole number from 1 to 1,024"),
        (("--grid", "gpt.width"), "--grid 'gpt.width' is not valid: write KEY=A,B,C"),
        (("--grid", "gpt.width=x"), "--gpt.width 'x' is not a whole number"),
        (("--grid", "gpt.layers=1,2", "--gpt.layers", "3"), "--gpt.layers and --grid gpt.layers"),
        (("--seeds", "2", "--steps", "x"), "--steps 'x' is not a whole number"),
        (("--seeds", "2", "--name", "../x"), "'../x' cannot name a run"),
        (
            ("--seeds", "2", "--name", "taken"),
            "runs/taken-s2 already exists: choose another --nam",
        ),
        (("--seeds", "2", "--group", "x"), "--group is for a single run: --name names a group of"),
        (("--seeds", "2", "--resume"), "--resume with --seeds or --grid needs the --name of the"),
        (("--seeds", "2", "--resume", "--name", "x"), "--resume: there is no group 'x' in runs"),
        (("--resume", "--name", "old", "--seeds", "1"), "has --seeds 2, and may get more"),
        (("--resume", "--name", "old", "--steps", "6"), "--steps is not that of the group old: le"),
        (("--resume", "--name", "old", "--grid", "gpt.width=8"), "--grid is not that of the group"),
        (("--seeds", "2", "--name", "old"), "runs/old already exists: choose another --name, or"),
    ],
)
def test_mistakes_are_one_line_and_start_nothing(
    started: Started, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train.command(options("--out", "runs", "--steps", "5", "--name", "old", "--seeds", "2"))
    Path("runs", "taken-s2").mkdir()
    before = sorted(Path("runs").iterdir())
    started.clear()
    capsys.readouterr()
    assert train.command(options("--out", "runs", *words)) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err
    assert (started, sorted(Path("runs").iterdir())) == ([], before)


def test_a_group_in_training_is_not_trained_twice(
    started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = []

    def again(*_: object) -> int:
        statuses.append(train.command(options("--out", "runs", "--resume", "--name", "g")))
        return 1

    monkeypatch.setattr(group_jobs, "train", again)
    train.command(options("--out", "runs", "--seeds", "1", "--name", "g"))
    assert statuses == [2]
    assert "another process is training the group runs/g\n" in capsys.readouterr().err
    session = make_session(Path("runs"))
    with session.writer:
        Path("runs", "run").rename(Path("runs", "g-s1"))
        assert train.command(options("--out", "runs", "--resume", "--name", "g")) == 2
        assert "g-s1 is being trained (process " in capsys.readouterr().err


def test_a_group_without_a_name_gets_one(started: Started) -> None:
    train.command(options("--out", "runs", "--seeds", "1", "--preset", "micro"))
    (path,) = Path("runs").iterdir()
    assert path.name.startswith("micro-")
    assert is_group(path)


def test_the_process_of_a_group_needs_no_torch() -> None:
    modules = "tinygpt.command.train, tinygpt.command.group_results, tinygpt.command.table"
    script = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_trackers_are_those_of_each_run(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGES)
    words = (*DATA, "--seeds", "2", "--name", "g", "--track", "wandb", "--track-model")
    train.command(options(*words))
    assert len(started) == 2
    assert all({"--track=wandb", "--track-model"} <= {*run} for run in started)
