"""The mean of several runs' curves, and how far they spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygpt.run.columns import Floats
from tinygpt.run.spread import spreads


class Points(NamedTuple):
    """A curve of one run; all of shape (N,). `step` ascends, and x is its place in the chart."""

    step: Floats
    x: Floats
    y: Floats


class MeanCurve(NamedTuple):
    """Mean and standard deviation over runs; all of shape (N,). `std` is NaN for a single run."""

    x: Floats
    mean: Floats
    std: Floats


def mean_curve(runs: Sequence[Points]) -> MeanCurve:
    """The mean over the runs at each of their steps: of those that have reached it.

    Between its own steps a run is interpolated. x is a mean as well, as runs need different times
    for a step.
    """
    if len(runs) == 1:
        return MeanCurve(runs[0].x, runs[0].y, np.full(len(runs[0].y), np.nan))
    steps = np.unique(np.concatenate([run.step for run in runs]))
    y = spreads(np.stack([_at(steps, run.step, run.y) for run in runs]))
    x = spreads(np.stack([_at(steps, run.step, run.x) for run in runs])).mean
    return MeanCurve(np.maximum.accumulate(x), y.mean, y.std)


def _at(steps: Floats, known: Floats, values: Floats) -> Floats:
    """Values at other steps; NaN before the first and after the last known one."""
    return np.interp(steps, known, values, left=np.nan, right=np.nan)
