"""A run whose end is moved warms up once more, and stays exact."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.exactness import exact, records
from tests.helpers.training import Trained, stop_at, train_session
from tinygpt import checkpoint
from tinygpt.config import build
from tinygpt.run import ResumeRecord, TrainRecord, checkpoint_dir
from tinygpt.run.settings import read_stored
from tinygpt.training import resume
from tinygpt.training.rewarming import fraction, in_words

PEAK = 0.02


def rates(run: Path, variant: str = "dense") -> dict[int, float]:
    found = [r for r in records(run) if isinstance(r, TrainRecord) and r.model == variant]
    return {record.step: record.lr / PEAK for record in found}


@pytest.fixture
def done(copied: Trained) -> Path:
    """A finished run of 13 steps, whose learning rate warmed up over 4 and then decayed."""
    return copied(optim__warmup=4)


@pytest.fixture(scope="session")
def extended(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a run that went on to 23 steps at once. It is shared: not to be changed."""
    run = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(trained(optim__warmup=4), run)
    train_session(resume(run, {"steps": 23}))
    return run


def test_a_finished_run_warms_up_again_and_decays_towards_its_new_end(done: Path) -> None:
    before = rates(done)
    session = resume(done, {"steps": 23})
    assert in_words(session.learners) == (
        "goes on from step 13: the learning rate warms up once more, over 4 steps, then decays "
        "towards the new end"
    )
    train_session(session)
    after = rates(done)
    assert {step: after[step] for step in before} == before, "what was trained stays"
    assert before[13] == pytest.approx(0.02 + 0.98 * (1 - 12 / 13) / 0.6)
    planned = {step: min(1, 0.02 + 0.98 * (1 - (step - 1) / 23) / 0.6) for step in after}
    assert [after[13 + k] / planned[13 + k] for k in (1, 2, 3, 4, 5)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1]
    )
    assert after[23] == pytest.approx(planned[23])
    (record,) = [r for r in records(done) if isinstance(r, ResumeRecord)]
    assert record.warm_from == {"dense": 13, "moe": 13}
    assert read_stored(done).warm_from == {"dense": 13, "moe": 13}


def test_an_extended_run_that_is_interrupted_goes_on_exactly(done: Path, extended: Path) -> None:
    """In the new warm-up, twice, and after it."""
    made = resume(done, {"steps": 23})
    for step in (14, 16, 19):
        assert train_session(made, interrupted=stop_at(step, made)).state == "stopped"
        made = resume(done, {})
        assert in_words(made.learners) is None
    assert train_session(made).state == "done"
    assert exact(done) == exact(extended)
    for variant in ("dense", "moe"):
        a, b = (checkpoint.restore(checkpoint_dir(run, variant, 23)) for run in (done, extended))
        assert all((a.weights[k] == b.weights[k]).all() for k in a.weights)


def test_one_that_falls_back_to_before_the_end_was_moved_warms_up_from_there(done: Path) -> None:
    made = resume(done, {"steps": 23})
    train_session(made, interrupted=stop_at(14, made))
    for step in (13, 14):
        shutil.rmtree(checkpoint_dir(done, "moe", step))
    again = resume(done, {})
    assert [v.warm_from for v in again.learners] == [13, 12]
    assert "step 12:" in (in_words(again.learners) or "")
    again.writer.close()


@pytest.mark.parametrize(
    ("ends", "warm_from"),
    [
        ({}, 0),
        ({"steps": 13}, 0),
        ({"steps": 11}, 0),
        ({"patience": 5}, 0),
        ({"steps": 26}, 9),
        ({"minutes": 5.0}, 9),
    ],
)
def test_only_a_later_end_warms_up_again(
    copied: Trained, ends: dict[str, object], warm_from: int
) -> None:
    again = resume(copied(9), ends)
    assert [v.warm_from for v in again.learners] == [warm_from, warm_from]
    again.writer.close()


def test_the_second_extension_warms_up_from_its_own_start(done: Path) -> None:
    train_session(resume(done, {"steps": 17}))
    train_session(resume(done, {"steps": 19}))
    assert read_stored(done).warm_from == {"dense": 17, "moe": 17}


def test_a_run_ends_by_steps_or_by_time() -> None:
    both = build({"steps": 200, "minutes": 2.0})
    assert fraction(both, 50, 12.0) == 0.25
    assert fraction(both, 50, 90.0) == 0.75
    assert fraction(both, 300, 0.0) == 1.0
    assert fraction(build({"minutes": 2.0}), 50, 30.0) == 0.25
