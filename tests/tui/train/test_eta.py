"""The time until the planned end, as the Train tab shows it."""

from dataclasses import replace

import pytest

from tests.helpers.records import evaluated, started, train
from tinygpt.run import ResumeRecord
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History
from tinygpt_tui.train.eta import seconds_left
from tinygpt_tui.train.state import TrainState

VARIANTS = ("dense", "moe")


def times(history: History, minutes: float | None = None) -> list[float | None]:
    """The time left of each variant."""
    state = TrainState(history, minutes=minutes)
    return [seconds_left(state, variant) for variant in history.variants.values()]


def test_nothing_is_said_before_the_training_has_measured() -> None:
    history = History()
    history.add([started(steps=100)])
    for step in range(1, 12):
        assert times(history) == times(history, minutes=90.0) == [None, None]
        history.add(group([train(variant, step) for variant in VARIANTS]))
    assert times(history) == [pytest.approx(89 * 2 * 0.5)] * 2
    assert times(history, minutes=0.75) == [pytest.approx(45.0 - history.wall_seconds)] * 2


def test_a_session_of_minutes_alone_has_a_known_end() -> None:
    history = History()
    history.add([started(steps=None), *group([train("dense", 1)])])
    assert times(history, minutes=2.0) == [pytest.approx(119.5), None]


def test_compilation_of_a_resumed_session_is_left_out() -> None:
    history = History()
    history.add(group([started(steps=200), *(train("dense", s) for s in range(1, 60))]))
    history.add([ResumeRecord(time=1.0, step=50, models={"dense": 50})])
    late = [replace(train("dense", s), train_seconds=70.0 + 2.0 * s) for s in range(51, 62)]
    history.variants.pop("moe")
    history.add(group(late[:-1]))
    assert times(history) == [None]
    history.add(group(late[-1:]))
    assert times(history) == [pytest.approx(139 * 2.0)]


def test_evaluations_are_part_of_the_time_left() -> None:
    history = History()
    records = [train(variant, step) for step in range(1, 41) for variant in VARIANTS]
    evaluations = [evaluated(variant, step, 2.0) for step in (20, 40) for variant in VARIANTS]
    history.add(group([started(steps=100), *records, *evaluations]))
    # Of 2 s of wall time per step, each variant trains for 0.5 s.
    assert times(history) == [pytest.approx(60 * 2.0)] * 2


def test_a_variant_that_ended_early_has_no_time_left_and_costs_none() -> None:
    history = History()
    both = [train(variant, step) for step in range(1, 51) for variant in VARIANTS]
    history.add(group([started(steps=100), *both]))
    assert times(history) == [50.0, 50.0]
    history.add(group([train("moe", step) for step in (51, 52, 53)]))
    assert times(history) == [None, pytest.approx(47 * 0.5)]
    # After a resume, the other one may have to catch up.
    history.add([ResumeRecord(time=98.0, step=39, models={"dense": 39})])
    caught_up = [replace(train("dense", step), time=99.0) for step in range(40, 51)]
    history.add(group(caught_up))
    assert times(history) == [pytest.approx((50 + 47) * 0.5)] * 2
