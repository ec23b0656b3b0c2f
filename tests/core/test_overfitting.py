"""Overfitting is seen where it is real, and noise is not taken for it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.records import evaluated
from tinygpt.overfitting import (
    ASSUMED_NOISE,
    IN_A_ROW,
    NOISE_MULTIPLE,
    SMALLEST_RISE,
    Overfitting,
    overfitting,
)
from tinygpt.run import EvalRecord

# Validation losses of real runs, evaluated every 41 or 50 steps, then their training losses.
DROPOUT_02 = (
    *(2.4498, 2.2296, 2.1469, 2.1198, 2.1090, 2.1276, 2.1421, 2.1614, 2.1683, 2.1880, 2.2008),
    *(2.1871, 1.7691, 1.5978, 1.4636, 1.3713, 1.2914, 1.2355, 1.1786, 1.1406, 1.0987, 1.0575),
)
DECAY_1 = (
    *(2.3999, 2.1530, 2.0888, 2.1140, 2.1228, 2.1428, 2.1568, 2.1641, 2.1682, 2.2049, 2.2321),
    *(2.1290, 1.6420, 1.4400, 1.2660, 1.1640, 1.0950, 1.0680, 1.0410, 1.0370, 1.0060, 0.9860),
)
DECAY_6 = (
    *(2.4516, 2.2488, 2.1860, 2.1489, 2.1317, 2.1277, 2.1401, 2.1313, 2.1197, 2.1063, 2.1011),
    *(2.2700, 1.9140, 1.8310, 1.7700, 1.7350, 1.7170, 1.7150, 1.7020, 1.6920, 1.6750, 1.6620),
)
DECAY_3_DROPOUT_01 = (
    *(2.4419, 2.2199, 2.1319, 2.0803, 2.0654, 2.0657, 2.0872, 2.0889, 2.0790, 2.0854, 2.0812),
    *(2.0843, 2.0768, 2.0833, 2.0802, 2.0747, 2.0670, 2.0572, 2.0476, 2.0445, 2.0424),
    *(2.2270, 1.8440, 1.7080, 1.6250, 1.6060, 1.5990, 1.6080, 1.5990, 1.5950, 1.5840, 1.5720),
    *(1.5600, 1.5520, 1.5320, 1.5180, 1.4960, 1.4820, 1.4580, 1.4260, 1.3860, 1.3690),
)
MOE_MICRO = (
    *(2.3123, 1.9931, 1.9272, 1.8471, 1.8162, 1.7752, 1.7605, 1.7473, 1.7345, 1.7269, 1.7160),
    *(1.7139, 1.7121, 1.7072, 1.6936, 1.6909, 1.6853, 1.6780, 1.6794, 1.6751, 1.6717, 1.6717),
    *(2.2717, 1.8724, 1.7471, 1.6773, 1.6333, 1.6034, 1.5834, 1.5671, 1.5579, 1.5451, 1.5341),
    *(1.5284, 1.5190, 1.5160, 1.5071, 1.5040, 1.4967, 1.4860, 1.4820, 1.4796, 1.4749, 1.4695),
)
SMALL_CORPUS = (
    *(2.2546, 1.9481, 1.9977, 2.1879, 2.3555),
    *(2.1578, 1.4956, 1.1317, 0.8641, 0.6895),
)
CERTAIN = NOISE_MULTIPLE * ASSUMED_NOISE
"""A rise in nats that shows whatever the number of evaluations, if the curve has no noise."""

LOSSES = st.floats(0.5, 5.0)


def curve(val: Sequence[float], train: Sequence[float] | None = None) -> list[EvalRecord]:
    """Evaluations every 41 steps, by default with a training loss that falls."""
    train = [3.0 - 0.01 * i for i in range(len(val))] if train is None else train
    return [
        replace(evaluated("dense", 41 * i, loss), train_loss=on_train)
        for i, (loss, on_train) in enumerate(zip(val, train, strict=True), 1)
    ]


def ever(evaluations: Sequence[EvalRecord]) -> list[tuple[int, int]]:
    """The steps at which overfitting is seen, each with the step since when."""
    seen = ((e.step, overfitting(evaluations[: i + 1])) for i, e in enumerate(evaluations))
    return [(step, found.step) for step, found in seen if found]


@pytest.mark.parametrize(
    ("losses", "seen"),
    [
        (DROPOUT_02, [(step, 205) for step in (369, 410, 451)]),
        (DECAY_1, [(step, 123) for step in (287, 328, 369, 410, 451)]),
        (SMALL_CORPUS, [(205, 82)]),
        (DECAY_6, []),
        (DECAY_3_DROPOUT_01, []),
        (MOE_MICRO, []),
    ],
)
def test_real_curves(losses: tuple[float, ...], seen: list[tuple[int, int]]) -> None:
    half = len(losses) // 2
    assert ever(curve(losses[:half], losses[half:])) == seen


def test_the_words() -> None:
    found = overfitting(curve(SMALL_CORPUS[:5], SMALL_CORPUS[5:]))
    assert found == Overfitting(82, 1.9481)
    assert str(found) == "overfitting since step 82 (best 1.948)"
    assert str(Overfitting(12500, 10.25)) == "overfitting since step 12,500 (best 10.25)"


@given(
    st.lists(st.floats(0.0, 0.5), min_size=1, max_size=30),
    st.lists(st.floats(-SMALLEST_RISE / 2, SMALLEST_RISE / 2), min_size=30, max_size=30),
    st.lists(LOSSES, min_size=30, max_size=30),
)
def test_small_noise_on_a_falling_curve_or_a_plateau_is_never_taken_for_it(
    falls: list[float], noise: list[float], train: list[float]
) -> None:
    clean = 20.0 - np.cumsum(falls)
    val = [float(loss) + error for loss, error in zip(clean, noise, strict=False)]
    assert ever(curve(val, train[: len(val)])) == []


@pytest.mark.parametrize("sigma", [0.002, 0.005, 0.01])
def test_larger_noise_is_measured(sigma: float) -> None:
    steps = np.arange(40)
    clean = 1.5 + 1.5 * (steps + 1.0) ** -0.7
    runs = [clean + sigma * np.random.default_rng(seed).normal(size=40) for seed in range(100)]
    alarms = sum(bool(ever(curve(run.tolist()))) for run in runs)
    assert alarms <= (0 if sigma < 0.01 else 5)


@given(
    st.lists(st.floats(0.001, 0.5), min_size=0, max_size=30),
    st.lists(st.floats(0.0, 0.5), min_size=0, max_size=30),
    st.floats(1.01 * CERTAIN, 1.0),
)
def test_a_clear_rise_is_seen_after_two_evaluations(
    falls: list[float], rises: list[float], jump: float
) -> None:
    down = [20.0, *(20.0 - np.cumsum(falls)).tolist()]
    up = [down[-1] + jump, *(down[-1] + jump + np.cumsum(rises)).tolist()]
    best = 41 * len(down)
    assert ever(curve([*down, *up])) == [(best + 41 * i, best) for i in range(2, len(up) + 1)]


@given(st.lists(LOSSES, min_size=4, max_size=20), st.data())
def test_only_while_the_training_loss_is_lower_than_at_the_best(
    val: list[float], data: st.DataObject
) -> None:
    train = data.draw(st.lists(LOSSES, min_size=len(val), max_size=len(val)))
    evaluations = curve(val, train)
    best = min(evaluations, key=lambda e: e.val_loss)
    if overfitting(evaluations):
        newest = evaluations[-IN_A_ROW:]
        assert all(e.train_loss < best.train_loss for e in newest)
        assert all(e.val_loss > best.val_loss + SMALLEST_RISE for e in newest)
    rising = [*train[:-1], best.train_loss]
    assert overfitting(curve(val, rising)) is None


@given(st.lists(LOSSES, min_size=1, max_size=20))
def test_a_better_evaluation_ends_it(val: list[float]) -> None:
    assert overfitting(curve([*val, min(val) - 0.001])) is None


def test_one_outlier_is_not_enough_and_a_way_back_ends_it() -> None:
    assert ever(curve([2.0, 1.5, 1.9, 1.5])) == []
    assert ever(curve([2.0, 1.5, 1.6, 1.7, 1.8, 1.505, 1.5, 1.5])) == [(164, 82), (205, 82)]


def test_an_evaluation_that_a_resume_repeats_counts_once() -> None:
    once = curve([2.0, 1.5, 1.7])
    assert overfitting([*once, once[-1]]) is None
    assert overfitting([*once, once[-1], *curve([2.0, 1.5, 1.7, 1.8])[-1:]])


def test_losses_that_are_no_numbers_are_passed_over() -> None:
    assert overfitting([]) is None
    assert overfitting(curve([math.nan])) is None
    found = overfitting(curve([math.nan, 2.0, 1.5, math.inf, 1.7, 1.8]))
    assert found == Overfitting(123, 1.5)
    assert overfitting(curve([2.0, 1.5, 1.7, 1.8], [1.0, 0.9, math.nan, 0.7])) is None
