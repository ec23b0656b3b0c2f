"""Records folded into the newest numbers and lines of progress."""

import pytest

from tests.helpers.records import train
from tinygpt.command.progress import QUIET_SECONDS, ProgressTracker
from tinygpt.config import build
from tinygpt.training.learner import Progress


def test_a_line_after_a_quiet_time_and_the_time_left() -> None:
    now = [0.0]
    starts = {"dense": Progress(step=10, wall_seconds=7.0), "moe": Progress(step=10)}
    tracker = ProgressTracker(build({"steps": 110}), starts, clock=lambda: now[0])
    assert tracker.seconds_left() is None
    now[0] = QUIET_SECONDS - 1
    assert tracker.add(train("dense", 60, 2.0)) is None
    assert tracker.add(train("moe", 60, 2.0)) is None
    assert tracker.seconds_left() == pytest.approx(QUIET_SECONDS - 1)
    now[0] = QUIET_SECONDS
    line = tracker.add(train("dense", 61, 1.75))
    assert line is not None
    assert line.startswith("dense step 61/110  loss 1.7500  ")
    assert line.endswith(" left")
    assert tracker.add(train("dense", 62, 1.75)) is None


def test_minutes_end_a_run_if_they_are_over_first() -> None:
    now = [0.0]
    config = build({"minutes": 2.0})
    tracker = ProgressTracker(config, {"moe": Progress(wall_seconds=50.0)}, clock=lambda: now[0])
    now[0] = 30.0
    assert tracker.seconds_left() == 40.0
