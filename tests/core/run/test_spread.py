"""Mean and standard deviation over runs."""

import math

import numpy as np
import pytest

from tinygpt.run.spread import spread, spreads

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "mean", "std", "n", "text"),
    [
        ((2.0, 5.0), 3.5, 4.5**0.5, 2, "3.5000 ± 2.1213"),
        ((2.0, None, math.inf, NAN, 4.0), 3.0, 2**0.5, 2, "3.0000 ± 1.4142"),
        ((2.0,), 2.0, None, 1, "2.0000"),
        ((None,), None, None, 0, "-"),
        ((), None, None, 0, "-"),
    ],
)
def test_of_a_number(
    values: tuple[float | None, ...], mean: float | None, std: float | None, n: int, text: str
) -> None:
    found = spread(values)
    assert (found.mean, found.n, found.text()) == (mean, n, text)
    assert found.std == (std and pytest.approx(std))


def test_of_curves_per_point() -> None:
    mean, std, n = spreads(np.array([[1.0, 2.0, NAN], [3.0, NAN, NAN], [8.0, 4.0, NAN]]))
    assert mean.tolist() == pytest.approx([4.0, 3.0, NAN], nan_ok=True)
    assert std.tolist() == pytest.approx([13**0.5, 2**0.5, NAN], nan_ok=True)
    assert n.tolist() == [3, 2, 0]
