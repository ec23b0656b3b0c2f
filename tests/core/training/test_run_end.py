"""A resume needs an end that has not been reached; a refusal leaves the run as it was."""

from pathlib import Path

import pytest

from tests.helpers.exactness import exact
from tests.helpers.trainer import SHAPE, run_here
from tests.helpers.training import Trained, make_overfitting, make_session, stop_at, train_session
from tinygpt.errors import RunError
from tinygpt.run import read_state
from tinygpt.training import resume


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


@pytest.fixture
def stopped(copied: Trained) -> Path:
    """A run of 13 steps that was stopped after 9, at a loss between 1 and 100."""
    return copied(9)


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ({"steps": "5"}, "--steps 5 is not more than the 9 steps that .*run has taken: set more"),
        ({"steps": "9"}, "--steps 9 is not more than the 9 steps"),
        ({"minutes": "1e-5"}, r"--minutes 1e-05 is not more than the .* that .*run has taken"),
        ({"minutes": "1e-5", "steps": "99"}, "--minutes 1e-05 is not more than"),
        (
            {"target_loss": "100"},
            r"--target-loss 100 has been reached by .*run \(dense \d\.\d+, moe \d\.\d+\): set a",
        ),
    ],
)
def test_an_end_that_was_reached_is_refused(
    stopped: Path, end: dict[str, str], problem: str
) -> None:
    before = contents(stopped)
    with pytest.raises(RunError, match=problem):
        resume(stopped, end)
    assert contents(stopped) == before
    assert train_session(resume(stopped, {})).reason == "13 steps", "the planned end is kept"


@pytest.mark.parametrize("end", [{}, {"steps": "13"}, {"minutes": "9"}, {"target_loss": "1"}])
def test_a_later_end_and_the_same_one_are_taken(stopped: Path, end: dict[str, str]) -> None:
    resume(stopped, end).writer.close()


def test_a_variant_that_fell_back_catches_up(stopped: Path) -> None:
    (stopped / "moe" / "step-00000009" / "model.safetensors").write_bytes(b"")
    outcome = train_session(resume(stopped, {"steps": "9"}))
    assert [m["step"] for m in outcome.models.values()] == [9, 9]


def test_a_run_that_lacks_only_its_end_record_gets_it(copied: Trained) -> None:
    run = copied()
    metrics = run / "metrics.jsonl"
    metrics.write_bytes(b"".join(metrics.read_bytes().splitlines(keepends=True)[:-1]))
    assert train_session(resume(run, {})).reason == "13 steps"


def test_a_finished_run_needs_a_later_end(tmp_path: Path) -> None:
    train_session(make_session(tmp_path, target_loss=100.0, steps=10))
    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"has reached --target-loss 100 at step 6: set a lower one"):
        resume(run, {"steps": "60"})
    with pytest.raises(RunError, match=r"--minutes 0.0001 is not more than"):
        resume(run, {"minutes": "0.0001"})
    outcome = train_session(resume(run, {"target_loss": "0.1"}))
    assert outcome.models["dense"]["seconds_to_target"] is None


@pytest.fixture
def impatient(copied: Trained) -> Path:
    """A run of 42 steps that ended at step 24, after 3 evaluations worse than the first."""
    return copied(make=make_overfitting, patience=3, steps=42)


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ({}, r"run has used up --patience 3 at step 24: set more, or 0 to train on without it"),
        ({"steps": "90"}, r"run has used up --patience 3 at step 24: set more, or 0"),
        (
            {"patience": "2"},
            r"--patience 2 is used up by .*run \(dense: 3 evaluations, best 0\.\d+ at step 6; moe",
        ),
        ({"steps": "20"}, r"--steps 20 is not more than the 24 steps"),
        ({"steps": "24"}, r"--steps 24 is not more than the 24 steps"),
    ],
)
def test_patience_that_is_used_up_is_refused(
    impatient: Path, end: dict[str, str], problem: str
) -> None:
    before = contents(impatient)
    with pytest.raises(RunError, match=problem):
        resume(impatient, end)
    assert contents(impatient) == before


def test_more_patience_trains_on_and_holds_for_later_resumes(
    impatient: Path, trained: Trained
) -> None:
    outcome = train_session(resume(impatient, {"patience": "5"}))
    assert [model["step"] for model in outcome.models.values()] == [36, 36]
    with pytest.raises(RunError, match="has used up --patience 5 at step 36"):
        resume(impatient, {})
    again = resume(impatient, {"patience": "0"})
    assert train_session(again, interrupted=stop_at(40, again)).state == "stopped"
    assert train_session(resume(impatient, {})).reason == "42 steps"
    assert exact(impatient) == exact(trained(make=make_overfitting, steps=42))


def test_the_command_changes_nothing(
    corpus_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--model", "dense")
    assert run_here(capfd, *arguments, "--steps", "7").returncode == 0
    run = tmp_path / "runs" / "a"
    before = contents(run)
    resumed = ("--resume", "--out", "runs", "--name", "a")
    done = run_here(capfd, *resumed, "--steps", "5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "--steps 5 is not more than the 7 steps that runs/a has taken: "
        "set more, they count from the start of the run\n"
    )
    assert contents(run) == before
    assert run_here(capfd, *resumed, "--steps", "9").returncode == 0
    state = read_state(run)
    assert (state.state, state.status and state.status.step) == ("done", 9)
