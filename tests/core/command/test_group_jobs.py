"""Runs of a group that are trained at the same time."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier

import pytest

from tests.helpers.trainer import SHAPE, command, piped, run_here, run_training
from tests.helpers.waiting import PATIENCE, until
from tinygpt.command import group_jobs
from tinygpt.command.group_jobs import Job, Signals, cards, train_all
from tinygpt.run import read_state, request

DATA = ("--data", "corpus.txt", *SHAPE, "--model", "dense")
JOBS = [Job(name, [name]) for name in "abcd"]


class Trainer:
    """Instead of processes: `together` runs wait for each other; notes what they were given."""

    def __init__(self, together: int) -> None:
        self.barrier = Barrier(together, timeout=PATIENCE)
        self.given: dict[str, dict[str, str]] = {}

    def __call__(
        self, arguments: list[str], _: Signals, variables: dict[str, str], name: str
    ) -> int:
        assert arguments == [name]
        self.given[name] = variables
        self.barrier.wait()
        return ord(name)


def test_each_gpu_trains_one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(2)
    monkeypatch.setattr(group_jobs, "train", trainer)
    monkeypatch.setattr(group_jobs, "usable_cpus", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    statuses = list(train_all(iter(JOBS), 2, ["GPU-x", "GPU-y"], Signals(), lambda: True))
    assert sorted(statuses) == [ord(name) for name in "abcd"]
    assert [v["OMP_NUM_THREADS"] for v in trainer.given.values()] == ["3"] * 4
    chosen = [trainer.given[name]["CUDA_VISIBLE_DEVICES"] for name in "abcd"]
    assert (chosen[:2], sorted(chosen[2:])) == (["GPU-x", "GPU-y"], ["GPU-x", "GPU-y"])


def test_more_runs_than_gpus_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(4)
    monkeypatch.setattr(group_jobs, "train", trainer)
    list(train_all(iter(JOBS), 4, ["1", "3", "5"], Signals(), lambda: True))
    chosen = [trainer.given[name]["CUDA_VISIBLE_DEVICES"] for name in "abcd"]
    assert chosen == ["1", "3", "5", "1"]


def test_the_first_run_begins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake that all runs have is found once."""
    monkeypatch.setattr(group_jobs, "train", Trainer(1))
    taken = []

    def jobs() -> Iterator[Job]:
        for job in JOBS:
            taken.append(job.name)
            yield job

    statuses = train_all(jobs(), 3, [], Signals(), lambda: False)
    for seen in "abcd":
        assert chr(next(statuses)) == seen == taken[-1]


def test_the_gpus_are_those_that_cuda_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cu130")
    monkeypatch.setattr(group_jobs, "visible_ids", lambda: ["3", "1"])
    assert cards("auto") == cards("cuda") == ["3", "1"]
    assert cards("cpu") == cards("cuda:1") == []
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cpu")
    assert cards("auto") == []


def test_runs_at_the_same_time_have_the_results_of_runs_in_turn(
    corpus_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*DATA, "--steps", "3", "--seeds", "3", "--json", "--train.threads", "1")
    found = []
    for name, jobs in (("one", "1"), ("two", "2")):
        done = run_here(capfd, *words, "--name", name, "--jobs", jobs)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1
        found.append([r["models"]["dense"]["val_loss"] for r in json.loads(done.stdout)["runs"]])
    assert found[0] == found[1]
    for seed in (1, 2, 3):
        assert f"\ntwo-s{seed}: dense " in done.stderr
    assert "two-s1: two-s1" not in done.stderr


def test_a_signal_ends_all_runs_and_they_are_continued(corpus_file: Path, tmp_path: Path) -> None:
    words = command(*DATA, "--steps", "100", "--name", "g", "--seeds", "3", "--jobs", "2")
    runs = [tmp_path / "runs" / f"g-s{seed}" for seed in (1, 2, 3)]
    with piped(tmp_path, words, start_new_session=True) as process:
        for run in runs[:2]:
            until((run / "status.json").exists, process=process)
            request(run, "pause")  # so that it does not end before the signal
        for run in runs[:2]:
            until(lambda run=run: read_state(run).state == "paused", process=process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert [read_state(run).state for run in runs[:2]] == ["stopped"] * 2
    assert not runs[2].exists()
    resume = ("--resume", "--name", "g", "--jobs", "3", "--json", "--out", "runs")
    done = run_training(tmp_path, *resume)
    assert done.returncode == 0, done.stderr
    steps = [run["models"]["dense"]["step"] for run in json.loads(done.stdout)["runs"]]
    assert steps == [100, 100, 100]
