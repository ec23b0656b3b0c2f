"""How long training takes, by what runs of the same shape took here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.records import evaluated, started, train
from tinygpt.config import build, flatten, unflatten
from tinygpt.run import Record, ResumeRecord, RunWriter, StartRecord, TrainRecord, read_status
from tinygpt.run.status import write_status
from tinygpt_tui.launch import measured, trainer_process

BOTH = ("dense", "moe")
START = replace(started(), device="cpu (1 thread)")
SHAPE: dict[str, object] = {"preset": "micro", "gpt.layers": 3, "device": "cpu"}


@pytest.fixture(autouse=True)
def all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that spares no thread for the app."""
    monkeypatch.setattr(trainer_process, "usable_cpus", lambda: 2)


def steps(first: int, last: int) -> list[TrainRecord]:
    """Steps of 0.5 s of both variants."""
    return [train(variant, step) for step in range(first, last + 1) for variant in BOTH]


def write_run(
    out: Path, name: str, records: Sequence[Record], start: StartRecord = START, **settings: object
) -> Path:
    """A run that is being trained, with these records after its first."""
    tables = unflatten(flatten(build({**SHAPE, **settings})))
    with RunWriter.create(out / name, tables, "{}") as writer:
        for record in (start, *records):
            writer.append(record)
        writer.status("running", 1)
    return out / name


def seconds(out: Path, *, processes: int = 1, **settings: Any) -> float | None:
    config = build({**SHAPE, "steps": 700, **settings})
    run = measured.find(config, measured.measured_runs(out), processes)
    return run.seconds(config) if run else None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 700.0),
        ({"steps": 100}, 100.0),
        ({"minutes": 3.0}, 180.0),
        ({"minutes": 30.0}, 700.0),
        ({"seed": 7, "optim.learning_rate": 0.1, "device": "auto"}, 700.0),
        ({"gpt.tie_embeddings": True}, 700.0),
        ({"gpt.width": 32}, None),
        ({"model": "moe"}, None),
        ({"moe.experts": 5}, None),
        ({"train.batch": 7}, None),
        ({"train.threads": 1}, None),
        ({"device": "cuda"}, None),
    ],
)
def test_time_is_that_of_a_run_of_the_same_shape(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    expected: float | None,
) -> None:
    monkeypatch.setattr("tinygpt_tui.launch.cost._has_cuda", lambda: False)
    monkeypatch.setattr("tinygpt_tui.launch.cost.sys.platform", "linux")
    write_run(tmp_path, "unfinished", steps(1, 40))
    assert seconds(tmp_path, **settings) == (None if expected is None else pytest.approx(expected))


def test_evaluations_count_and_the_warm_up_does_not(tmp_path: Path) -> None:
    slow = [replace(record, train_seconds=300.0) for record in steps(1, 1)]
    taken = [replace(r, train_seconds=r.train_seconds + 300.0) for r in steps(2, 60)]
    evaluations = [evaluated(variant, step, 2.0) for step in (20, 40) for variant in BOTH]
    write_run(tmp_path, "a", [*slow, *taken, *evaluations])
    # Of 2 s of wall time per step, each variant trains for 0.5 s.
    assert seconds(tmp_path) == pytest.approx(700 * 2.0)


def test_the_latest_session_counts(tmp_path: Path) -> None:
    later = [replace(r, train_seconds=900 + 2.0 * r.step) for r in steps(41, 60)]
    resume = ResumeRecord(time=1.0, step=40, models={"dense": 40, "moe": 40})
    write_run(tmp_path, "a", [*steps(1, 40), resume, *later])
    assert seconds(tmp_path) == pytest.approx(700 * 4.0)


def test_a_run_of_several_processes_tells_of_as_many(tmp_path: Path) -> None:
    device = "3 processes, each on cpu (1 thread)"
    write_run(tmp_path, "three", steps(1, 40), replace(START, device=device, processes=3))
    assert seconds(tmp_path, processes=3) == pytest.approx(700.0)
    assert seconds(tmp_path, processes=2) is None


def test_runs_that_say_nothing_about_this_machine(tmp_path: Path) -> None:
    assert measured.measured_runs(tmp_path / "missing") == []
    write_run(tmp_path, "short", steps(1, 10))
    elsewhere = write_run(tmp_path, "elsewhere", steps(1, 40))
    status = read_status(elsewhere)
    assert status is not None
    write_status(elsewhere, replace(status, host="another"))
    of_later_version = write_run(tmp_path, "later", steps(1, 40))
    (of_later_version / "run.toml").write_text("[gpt]\nwidth = 'wide'\n")
    assert measured.measured_runs(tmp_path) == []
    write_run(tmp_path, "here", steps(1, 40))
    assert [run.name for run in measured.measured_runs(tmp_path)] == ["here"]
