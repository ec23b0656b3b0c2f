"""Fewer points with the same extremes, means of windows, ticks."""
# ruff: noqa: FBT001 - as hypothesis draws them

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt_tui.render.downsample import (
    extremes,
    nice_ticks,
    tick_text,
    time_ticks,
    visible,
)

NAN = math.nan
finite = st.floats(-1e12, 1e12)


def test_visible_keeps_a_neighbour_on_each_side() -> None:
    x = np.arange(11.0)
    assert visible(x, 3.5, 6.5) == slice(3, 8)
    assert visible(x, 3, 6) == slice(2, 8)
    assert visible(x, -5, 50) == slice(0, 11)
    assert visible(x, 50, 60) == slice(10, 11)
    assert visible(x[:0], 0, 1) == slice(0, 0)


def test_few_points_stay_as_they_are() -> None:
    x, y = np.arange(6.0), np.array([1, NAN, 3, 2, 5, 4.0])
    kept_x, kept_y = extremes(x, y, 3, 0, 5)
    np.testing.assert_array_equal(kept_x, x)
    np.testing.assert_array_equal(kept_y, y)


def test_extremes_in_their_order() -> None:
    x = np.arange(8.0)
    kept_x, kept_y = extremes(x, np.array([3, 1, 2, 5, 9, 7, 6, 8.0]), 2, 0, 8)
    np.testing.assert_array_equal(kept_x, [1, 3, 4, 6])
    np.testing.assert_array_equal(kept_y, [1, 5, 9, 6])


def test_a_bucket_of_nan_stays_a_gap_and_a_single_nan_does_not() -> None:
    y = np.array([1, NAN, 2, 3, NAN, NAN, NAN, NAN, 5, 6, 4, NAN])
    _, kept = extremes(np.arange(12.0), y, 3, 0, 12)
    np.testing.assert_array_equal(kept, [1, 3, NAN, 6, 4])


@given(st.lists(finite | st.just(NAN), min_size=1, max_size=199), st.integers(1, 13))
def test_extremes_keep_the_global_ones(numbers: list[float], buckets: int) -> None:
    y = np.array(numbers)
    x = np.arange(len(y), dtype=float)
    kept_x, kept = extremes(x, y, buckets, 0, len(y) - 1)
    assert len(kept) <= max(2 * buckets, 2 * (buckets + 1))
    assert (np.diff(kept_x) > 0).all()
    if not np.isnan(y).all():
        assert np.nanmin(kept) == np.nanmin(y)
        assert np.nanmax(kept) == np.nanmax(y)


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 2000, 5) == [0, 500, 1000, 1500, 2000]
    assert nice_ticks(1.4, 4.2, 4) == [2, 3, 4]
    assert nice_ticks(0.1, 0.35, 5) == [0.1, 0.2, 0.3]
    assert nice_ticks(1, 1000, 4, log=True) == [1, 10, 100, 1000]
    assert nice_ticks(4, 70, 4, log=True) == [5, 10, 20, 50]
    assert nice_ticks(1.4, 4.2, 4, log=True) == [2, 3, 4]
    assert nice_ticks(NAN, 1, 4) == nice_ticks(1, 0, 4) == nice_ticks(0, 1, 0) == []


def test_time_ticks_are_whole_minutes_and_hours() -> None:
    assert time_ticks(0, 100, 4) == [0, 30, 60, 90]
    assert time_ticks(0, 7000, 5) == [0, 1800, 3600, 5400]
    assert time_ticks(0, 250_000, 5) == [0, 86400, 172800]


@given(finite, finite, st.integers(1, 13), st.booleans())
def test_ticks_lie_inside_and_are_not_too_many(a: float, b: float, n: int, log: bool) -> None:
    low, high = min(a, b), max(a, b)
    slack = 1e-6 * (high - low) + 1e-6 * abs(high) + 1e-6 * abs(low)
    for ticks in (nice_ticks(low, high, n, log=log), time_ticks(low, high, n)):
        assert len(ticks) <= n
        assert all(low - slack <= tick <= high + slack for tick in ticks)
        assert ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.05, "0.05"),
        (1.5, "1.5"),
        (500, "500"),
        (1000, "1k"),
        (1500, "1.5k"),
        (2.5e6, "2.5M"),
        (1e9, "1G"),
        (-3000, "-3k"),
        (1e-6, "1e-6"),
        (1e300, "1e300"),
    ],
)
def test_tick_text(value: float, text: str) -> None:
    assert tick_text(value) == text
