"""Whether a variant is overfitting, judged by its evaluations.

Its validation loss has then risen above the best one by more than noise, and its loss on the
training split has fallen since. How noisy it is, the validation loss itself tells: it should fall
up to the best evaluation and rise after it, and what it does against that is noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinygpt import formatting
from tinygpt.run import EvalRecord

SMALLEST_RISE = 0.01
"""Nats per token; less is not worth reporting, however smooth the curve."""
NOISE_MULTIPLE = 6.0
"""How many standard deviations of the noise count as a rise. The best of many equal evaluations is
two to three of them below their mean, and of two others in a row the lower one may be as much
above it."""
IN_A_ROW = 2
"""The newest evaluations, all of which must have risen: one may be an outlier."""
ASSUMED_NOISE = 0.02
"""Standard deviation in nats of a curve that has shown nothing yet. It counts as one observation,
so that a rise after two or three evaluations has to be clear; real curves of averaged weights
scatter by 0.0002 to 0.006."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Since when, as "overfitting since step 200 (best 1.933)"."""

    step: int
    """Of the best evaluation."""
    loss: float
    """The best validation loss, in nats per token."""

    def __str__(self) -> str:
        return f"overfitting since step {self.step:,} (best {formatting.loss(self.loss)})"


def overfitting(evaluations: Sequence[EvalRecord]) -> Overfitting | None:
    """Since when a variant is overfitting, by its evaluations in order of steps; None if it is not.

    A later evaluation with a better loss ends it.
    """
    # A resume may repeat an evaluation.
    points = list({e.step: e for e in evaluations if math.isfinite(e.val_loss)}.values())
    place = min(range(len(points)), key=lambda i: points[i].val_loss, default=0)
    if len(points) <= place + IN_A_ROW:
        return None
    best, rise = points[place], max(SMALLEST_RISE, NOISE_MULTIPLE * _noise(points, place))
    for point in points[-IN_A_ROW:]:
        if point.val_loss <= best.val_loss + rise or not point.train_loss < best.train_loss:
            return None
    return Overfitting(best.step, best.val_loss)


def _noise(points: Sequence[EvalRecord], best: int) -> float:
    """Estimated standard deviation of the validation loss, in nats.

    The difference of two evaluations has twice the variance of one, but half of the differences
    go with the trend and count as zero, so that the mean square is that variance.
    """
    total, count = ASSUMED_NOISE**2, 1
    for i, (before, after) in enumerate(pairwise(points)):
        if best in (i, i + 1):  # into the best and out of it, nothing can go against the trend
            continue
        step = after.val_loss - before.val_loss
        total += max(0.0, step if i < best else -step) ** 2
        count += 1
    return math.sqrt(total / count)
