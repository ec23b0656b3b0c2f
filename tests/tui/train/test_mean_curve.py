"""The mean of several runs' curves."""

import math

import numpy as np
import pytest

from tinygpt_tui.train.mean_curve import Points, mean_curve

NAN = math.nan


def points(steps: list[float], y: list[float], per_step: float = 1.0) -> Points:
    step = np.array(steps)
    return Points(step, step * per_step, np.array(y))


def test_a_run_is_interpolated_and_counts_as_far_as_it_has_come() -> None:
    found = mean_curve([points([10, 20, 30], [5.0, 3.0, 2.0]), points([10, 30, 50], [7, 4, 1])])
    assert found.x.tolist() == [10, 20, 30, 50]
    assert found.mean.tolist() == [6.0, (3 + 5.5) / 2, 3.0, 1.0]
    assert found.std.tolist() == pytest.approx([2**0.5, 2.5 / 2**0.5, 2**0.5, NAN], nan_ok=True)


def test_runs_are_compared_at_equal_steps_whatever_time_these_take() -> None:
    slow, fast = (points([10, 20], [4.0, 2.0], seconds) for seconds in (3.0, 1.0))
    found = mean_curve([slow, fast])
    assert (found.x.tolist(), found.mean.tolist()) == ([20.0, 40.0], [4.0, 2.0])


def test_x_never_runs_back_where_the_slow_runs_end() -> None:
    found = mean_curve([points([10, 20], [4.0, 2.0], 9.0), points([10, 20, 30], [4, 2, 1], 1.0)])
    assert found.x.tolist() == [50.0, 100.0, 100.0]


def test_a_single_run_is_as_it_is() -> None:
    found = mean_curve([points([10, 20, 30], [5.0, NAN, 2.0])])
    assert found.mean.tolist() == pytest.approx([5.0, NAN, 2.0], nan_ok=True)
    assert np.isnan(found.std).all()
