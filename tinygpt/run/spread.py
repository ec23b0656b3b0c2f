"""Mean and standard deviation over runs: of a number of each run, or of their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygpt.run.columns import Floats


class Spread(NamedTuple):
    """Mean and sample standard deviation of `n` values; None where there are too few of them."""

    mean: float | None
    std: float | None
    n: int

    def text(self, decimals: int = 4) -> str:
        """For example "1.5580 ± 0.0031"; the mean alone of one value, "-" of none."""
        if self.mean is None:
            return "-"
        spread = "" if self.std is None else f" ± {self.std:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{spread}"


class Spreads(NamedTuple):
    """As `Spread`, per point of curves (P,); NaN where there are too few values."""

    mean: Floats
    std: Floats
    n: Floats


def spread(values: Sequence[float | None]) -> Spread:
    """The mean and the standard deviation of those values that are known and finite."""
    known = np.array([np.nan if value is None else value for value in values], np.float64)
    mean, std, n = (float(found[0]) for found in spreads(known[:, None]))
    return Spread(None if n < 1 else mean, None if n < 2 else std, int(n))


def spreads(curves: Floats) -> Spreads:
    """The mean and the standard deviation of `curves` (runs, P) over runs, without those that are
    not finite at a point."""
    known = np.isfinite(curves)
    n = known.sum(axis=0).astype(np.float64)
    mean = np.where(known, curves, 0.0).sum(axis=0) / np.where(n > 0, n, np.nan)
    squares = (np.where(known, curves - mean, 0.0) ** 2).sum(axis=0)
    return Spreads(mean, np.sqrt(squares / np.where(n > 1, n - 1, np.nan)), n)
