"""The processes of trackers: what goes wrong in one is said once, and delays no training."""

import argparse
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.records import train
from tests.helpers.run_files import end
from tests.helpers.tracking import append, environment, logged, run_with, told_to
from tests.helpers.trainer import SHAPE, command, steps_taken
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.command import train as train_command
from tinygpt.tracking.processes import Trackers, send
from tinygpt.tracking.state import LOG, followed_by, in_words, read_tracking


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """The file in which the fake tracker writes what it is told."""
    return tmp_path / "told.jsonl"


@pytest.fixture
def fake_wandb(told: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the processes that are started here the fake wandb."""

    def give(trouble: str = "", at: int | None = None) -> None:
        for name, value in environment(told, trouble, at).items():
            monkeypatch.setenv(name, value)

    return give


def some_run(path: Path, last: int = 3) -> Path:
    steps = range(1, last + 1)
    return run_with(path, *(train(m, step) for step in steps for m in ("dense", "moe")), end())


def finish(trackers: Trackers) -> None:
    trackers.finish(lambda: False)


def test_a_finished_run_is_sent(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb()
    run = some_run(tmp_path / "nano")
    said: list[str] = []
    assert send(run, ["wandb"], model=False, is_live=lambda: False, say=said.append)
    assert logged(told_to(told)) == {"nano/dense": [1, 2, 3], "nano/moe": [1, 2, 3]}
    (dense, moe) = (entry for entry in told_to(told) if entry["what"] == "finish")
    assert (dense["exit_code"], dense["summary"]["step"]) == (0, 5)
    assert moe["exit_code"] == 0
    id = read_tracking(run / "wandb").ids["dense"]
    assert said[0] == (
        f"wandb: nano/dense is offline, to be sent with: wandb sync {run}/wandb/offline-run-{id}"
    )
    assert said[2] == "wandb: 6 rows sent"
    said.clear()
    assert send(run, ["wandb"], model=False, is_live=lambda: False, say=said.append)
    assert said == ["wandb: it had all of this run's steps already"]


def test_a_live_run_is_sent_until_it_ends(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb()
    run = run_with(tmp_path / "nano", train("dense", 1), train("dense", 2))

    def is_live() -> bool:
        if logged(told_to(told)).get("nano/dense") != [1]:
            return True
        append(run, train("dense", 3), end())
        return False

    assert send(run, ["wandb"], model=False, is_live=is_live, say=lambda _: None)
    assert logged(told_to(told)) == {"nano/dense": [1, 2, 3]}


def test_a_tracker_that_raises_is_one_sentence(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb("raise", at=2)
    run, said = some_run(tmp_path / "nano"), list[str]()
    with Trackers(run, ["wandb"], model=False, say=said.append) as trackers:
        pass
    finish(trackers)
    *notes, sentence = said
    assert sentence.startswith("wandb stopped: the server; send the rest with: ")
    assert sentence.endswith("--track-to wandb")
    assert "Try again." in (run / "wandb" / LOG).read_text()
    assert in_words(run) == "wandb (stopped: the server)"
    assert not any("stopped" in note for note in notes)
    fake_wandb()
    assert send(run, ["wandb"], model=False, is_live=lambda: False, say=said.append)
    assert set(logged(told_to(told))["nano/dense"]) == {1, 2, 3}
    assert in_words(run) == "wandb"


def test_a_tracker_whose_process_dies_is_one_sentence(
    tmp_path: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb("die")
    run, said = some_run(tmp_path / "nano"), list[str]()
    with Trackers(run, ["wandb"], model=False, say=said.append) as trackers:
        pass
    finish(trackers)
    (sentence,) = said
    log = run / "wandb" / LOG
    expected = f"wandb stopped: its process was killed (9), see {log}; send the rest with: "
    assert sentence.startswith(expected)


def test_a_tracker_that_hangs_gets_a_bounded_time(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb("hang", at=2)
    run, said = some_run(tmp_path / "nano"), list[str]()
    with Trackers(run, ["wandb"], model=False, say=said.append, seconds=3.0) as trackers:
        until(lambda: any(entry["what"] == "hang" for entry in told_to(told)))
    begun = time.monotonic()
    finish(trackers)
    assert time.monotonic() - begun < PATIENCE / 2
    *_, waiting, sentence = said
    assert waiting == "waiting for wandb to send the rest, for 3 s at most"
    assert sentence.startswith("wandb stopped: it has not finished in time; send the rest with: ")
    (hang,) = (entry for entry in told_to(told) if entry["what"] == "hang")
    assert not psutil.pid_exists(hang["pid"])


def test_a_signal_ends_the_wait(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    fake_wandb("hang")
    said, asked = list[str](), 0
    run = some_run(tmp_path / "nano")
    with Trackers(run, ["wandb"], model=False, say=said.append, seconds=PATIENCE) as trackers:
        until(lambda: any(entry["what"] == "hang" for entry in told_to(told)))

    def is_interrupted() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    begun = time.monotonic()
    trackers.finish(is_interrupted)
    assert time.monotonic() - begun < PATIENCE / 2
    assert "it has not finished in time" in said[-1]


def test_several_trackers_fail_alone(
    tmp_path: Path, told: Path, fake_wandb: Callable[..., None]
) -> None:
    """Trackio is not installed where the tests run, and neither is TensorBoard."""
    fake_wandb()
    run, said = some_run(tmp_path / "nano"), list[str]()
    with Trackers(run, ["nosuch", "wandb"], model=False, say=said.append) as trackers:
        pass
    finish(trackers)
    assert sum(line.startswith("nosuch stopped: No module named") for line in said) == 1
    assert logged(told_to(told))["nano/moe"] == [1, 2, 3]


TRAINING = ("--data", "corpus.txt", *SHAPE, "--name", "nano", "--track", "wandb")


def test_training_is_tracked_and_a_resume_continues_there(
    corpus_file: Path, tmp_path: Path, told: Path
) -> None:
    def training(*arguments: str) -> str:
        with running(
            command(*arguments), cwd=tmp_path, env=environment(told), stderr=PIPE, stdout=PIPE
        ) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        return str(errors.decode())

    said = training(*TRAINING, "--steps", "23", "--track-model")
    assert said.count("wandb: nano/dense is offline, to be sent with: wandb sync runs/nano/") == 1
    assert "stopped" not in said
    assert logged(told_to(told)) == {
        "nano/dense": list(range(1, 24)),
        "nano/moe": list(range(1, 24)),
    }
    assert logged(told_to(told), "val/loss")["nano/moe"] == [20, 23]
    assert logged(told_to(told), "expert_load/layer_0/expert_3") == {"nano/moe": [20, 23]}
    assert logged(told_to(told), "sample")["nano/dense"] == [20, 23]
    files = [entry["files"] for entry in told_to(told) if entry["what"] == "artifact"]
    assert len(files) == 2
    assert files[0][1:] == [f"{Path(files[0][0]).parent}/meta.json", "tokenizer.json", "run.toml"]

    training("--resume", "--name", "nano", "--out", "runs", "--steps", "31")
    assert logged(told_to(told))["nano/dense"] == list(range(1, 32))
    assert len({entry["id"] for entry in told_to(told)}) == 2

    run = tmp_path / "runs" / "nano"
    assert followed_by(run) == ["wandb"]
    ended = train_command._trackers(run, argparse.Namespace(track=[]), print)
    assert ended._names == []


def test_a_tracker_that_hangs_does_not_delay_training(
    corpus_file: Path, tmp_path: Path, told: Path
) -> None:
    """It hangs while it is opened, as wandb does without a network, and is still hanging when all
    steps are taken. Then a signal ends the wait for it."""
    with running(
        command(*TRAINING, "--steps", "29", "--json"),
        cwd=tmp_path,
        env=environment(told, "hang"),
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        until((tmp_path / "runs" / "nano" / "train.log").exists, process=process)
        until(lambda: steps_taken(tmp_path / "runs" / "nano") == 29, process=process)
        assert process.stdout is not None
        assert b'"step": 29' in process.stdout.readline()  # the results do not wait for it
        assert process.stderr is not None
        assert any(b"waiting for wandb to send the rest" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert errors.count(b"wandb stopped: it has not finished in time") == 1


def test_a_trainer_that_is_killed_leaves_no_tracker_behind(
    corpus_file: Path, tmp_path: Path, told: Path
) -> None:
    run = tmp_path / "runs" / "nano"
    with running(
        command(*TRAINING, "--steps", "1000000"),
        cwd=tmp_path,
        env=environment(told),
        stdout=DEVNULL,
        stderr=DEVNULL,
    ) as process:
        until(lambda: "nano/moe" in logged(told_to(told)), process=process)
        (tracker,) = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    until(lambda: not tracker.is_running())
    sent = logged(told_to(told))["nano/moe"]
    assert sent == list(range(1, len(sent) + 1))
    assert len(sent) >= steps_taken(run) - 2  # MoE may be a step behind, and its last is incomplete
    assert [entry["exit_code"] for entry in told_to(told) if entry["what"] == "finish"] == [1, 1]


@pytest.mark.parametrize("script", ["tinygpt_tui", "trainer"])
def test_mistakes_are_said_before_training(tmp_path: Path, told: Path, script: str) -> None:
    for value, says in (
        ("wandbb", "--track 'wandbb' is not a tracker; did you mean 'wandb'?"),
        ("nosuch", "--track 'nosuch' is not a tracker: it takes tensorboard, trackio, wandb"),
    ):
        with running(
            command("--track", value, script=script),
            cwd=tmp_path,
            env=environment(told),
            stdout=DEVNULL,
            stderr=PIPE,
        ) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert errors.decode().splitlines()[-1].endswith(says)
        assert not (tmp_path / "checkpoints").exists()
