"""The debiased exponential average of losses."""

import math

import numpy as np
import pytest

from tinygpt.smoothing import LARGEST, Ema, kind, name


def by_definition(values: list[float], span: int) -> list[float]:
    decay, averages = 1 - 2 / (span + 1), []
    for i in range(len(values)):
        pairs = [(decay ** (i - j), values[j]) for j in range(i + 1) if math.isfinite(values[j])]
        weight = sum(w for w, _ in pairs)
        averages.append(sum(w * v for w, v in pairs) / weight if weight else math.nan)
    return averages


@pytest.mark.parametrize("span", [1, 5, 50, 5000])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 211])
def test_equals_its_definition_over_gaps_and_blocks(span: int, count: int) -> None:
    values = [2 + math.sin(7.0 * i) for i in range(count)]
    values[1::17] = [math.nan] * len(values[1::17])
    values[3::31] = [math.inf] * len(values[3::31])
    found, expected = Ema(span).extend(np.array(values)), by_definition(values, span)
    if span == 1:  # the weight of every earlier value is 0
        expected = [value if math.isfinite(value) else math.nan for value in values]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("parts", [(1, 1, 1, 127), (64, 66), (5, 0, 125)])
def test_a_growing_series_has_the_same_averages(parts: tuple[int, ...]) -> None:
    values = np.random.default_rng(7).normal(2, 1, 130)
    ema, found, start = Ema(20), [], 0
    for size in parts:
        found.append(ema.extend(values[start : start + size]))
        start += size
    np.testing.assert_allclose(np.concatenate(found), Ema(20).extend(values), rtol=1e-9)


def test_the_first_averages_are_not_drawn_towards_zero() -> None:
    assert Ema(50).extend(np.full(3, 4.0)) == pytest.approx(4.0)


def test_one_huge_value_is_clipped_and_forgotten() -> None:
    found = Ema(5).extend(np.array([1e300, *[2.0] * 60]))
    assert found[0] == LARGEST
    assert found[-1] == pytest.approx(2.0)


def test_names_say_the_span() -> None:
    assert [name(50), name(1), kind(20)] == ["train (ema 50)", "train (batch)", "ema 20"]
