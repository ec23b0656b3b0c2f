"""Records folded into the newest numbers and lines of progress."""

import pytest

from tests.helpers.records import evaluated, train
from tinygpt.command.progress import QUIET_SECONDS, ProgressTracker
from tinygpt.config import build
from tinygpt.training.progress import Progress


def test_a_line_after_a_quiet_time() -> None:
    now = [0.0]
    starts = {"dense": Progress(step=10, wall_seconds=7.0), "moe": Progress(step=10)}
    tracker = ProgressTracker(build({"steps": 110}), starts, clock=lambda: now[0])
    now[0] = QUIET_SECONDS - 1
    assert tracker.add(train("dense", 60, 2.0)) is None
    now[0] = QUIET_SECONDS
    line = tracker.add(train("dense", 61, 1.75))
    assert line is not None
    average = (2.0 * 49 / 51 + 1.75) / (49 / 51 + 1)
    assert line.startswith(f"dense step 61/110  train (ema 50) {average:.3f}  ")
    assert tracker.add(train("dense", 62, 1.75)) is None


def test_the_average_goes_on_after_a_resume() -> None:
    whole = ProgressTracker(build({"steps": 7}), {"moe": Progress()})
    losses = [3.0, 2.5, 2.25, 2.0, 1.5]
    for step, loss in enumerate(losses, 1):
        whole.add(train("moe", step, loss))
    resumed = ProgressTracker(build({"steps": 7}), {"moe": Progress(step=4)}, {"moe": losses[:4]})
    resumed.add(train("moe", 5, losses[4]))
    assert resumed.latest["moe"].train_loss == pytest.approx(whole.latest["moe"].train_loss)


def test_the_average_of_batches_and_the_evaluated_train_loss_have_two_names() -> None:
    tracker = ProgressTracker(build({"steps": 7}), {"moe": Progress()})
    for step in range(1, 8):
        tracker.add(train("moe", step, 3.0))
    line = tracker.add(evaluated("moe", 7, 2.0))
    assert line is not None
    assert "  train (ema 50) 3.000  train-eval 1.9000  " in line
    assert line.count("train ") == 1


def test_time_left_waits_for_a_speed_without_compilation_and_the_first_checkpoints() -> None:
    now = [0.0]
    starts = {"dense": Progress(step=100), "moe": Progress(step=100)}
    tracker = ProgressTracker(build({"steps": 200, "minutes": 90.0}), starts, clock=lambda: now[0])
    for step in range(101, 111):
        now[0] += 60.0  # what this session spends on compiling, and on checkpoints
        for variant in starts:
            tracker.add(train(variant, step))
        assert tracker.seconds_left() is None
    for variant in starts:
        assert tracker.seconds_left() is None
        tracker.add(train(variant, 111))
    assert tracker.seconds_left() == pytest.approx(89 * 2 * 0.5)
    line = tracker.add(evaluated("moe", 111, 2.0))
    assert line is not None
    assert line.endswith("  1:29 left")
    now[0] = 90 * 60 - 7.0
    assert tracker.seconds_left() == 7.0


def test_minutes_end_a_run_if_they_are_over_first() -> None:
    now = [0.0]
    config = build({"minutes": 2.0})
    tracker = ProgressTracker(config, {"moe": Progress(wall_seconds=50.0)}, clock=lambda: now[0])
    now[0] = 30.0
    assert tracker.seconds_left() == 40.0
