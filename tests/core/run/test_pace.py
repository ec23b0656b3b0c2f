"""The time that is left, by the records alone."""

from dataclasses import replace

import pytest

from tests.helpers.records import evaluated
from tinygpt.run.pace import WARMUP_STEPS, WINDOW, Pace, overhead, seconds_left, step_seconds


def seconds_of(durations: list[float]) -> list[float]:
    """Training seconds at the end of each step."""
    return [sum(durations[: n + 1]) for n in range(len(durations))]


@pytest.mark.parametrize("first", [0, 700])
def test_compilation_is_left_out_of_the_speed(first: int) -> None:
    durations = [61.0, 7.0, 3.0, *[0.5] * 97]
    steps = [first + n + 1 for n in range(len(durations))]
    seconds = seconds_of(durations)
    warm = [step_seconds(steps[:n], seconds[:n], first) for n in range(WARMUP_STEPS + 1)]
    assert warm == [None] * (WARMUP_STEPS + 1)
    for n in range(WARMUP_STEPS + 1, len(steps)):
        assert step_seconds(steps[: n + 1], seconds[: n + 1], first) == pytest.approx(0.5)


def test_the_speed_is_that_of_the_latest_records() -> None:
    steps, seconds = list(range(10, 3000, 10)), seconds_of([20.0] * 199 + [5.0] * 100)
    assert step_seconds(steps, seconds, 0) == pytest.approx(0.5)
    assert step_seconds(steps[:200], seconds[:200], 0) == pytest.approx(
        (20.0 * (WINDOW - 2) + 5.0) / (10 * (WINDOW - 1))
    )


def test_clocks_without_progress_say_nothing() -> None:
    assert step_seconds([20, 20], [1.0, 2.0], 0) is step_seconds([20, 30], [2.0, 2.0], 0) is None


def test_evaluations_and_checkpoints_count_as_measured_between_evaluations() -> None:
    dense = [replace(evaluated("dense", s, 2.0), wall_seconds=w) for s, w in ((11, 90), (31, 150))]
    moe = [replace(evaluated("moe", s, 2.0), wall_seconds=w) for s, w in ((11, 97), (31, 157))]
    # 60 s of wall time in 20 steps of 0.5 s for each variant.
    assert overhead({"dense": dense, "moe": moe}) == pytest.approx(40 / 20)
    ahead = [*dense, evaluated("dense", 51, 2.0)]
    assert overhead({"dense": ahead, "moe": moe}) == pytest.approx(40 / 20)
    assert overhead({"dense": dense, "moe": moe[:1]}) == overhead({}) == 0.0
    assert overhead({"dense": [replace(e, wall_seconds=1.0) for e in dense]}) == 0.0


def test_time_left_is_that_of_all_variants_that_still_train() -> None:
    paces = [Pace(30, 0.5), Pace(20, 1.25)]
    assert seconds_left(50, paces, 0.0) == 20 * 0.5 + 30 * 1.25
    assert seconds_left(50, paces, 0.1) == pytest.approx(20 * 0.5 + 30 * 1.25 + 30 * 0.1)
    assert seconds_left(50, [Pace(60, 0.5)], 1.0) == 0
    assert seconds_left(50, [Pace(30, 0.5), Pace(20, None)], 0.0) is seconds_left(50, [], 0) is None
