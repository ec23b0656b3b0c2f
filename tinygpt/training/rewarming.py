"""The learning rate of a run whose end is moved: it warms up once more.

The schedule follows the share of the run that is completed, so that a later end calls for a higher
rate than the one that training had decayed to: at twice the steps, for 84 % of the peak after 2 %.
It is reached over the usual warm-up. The result is within 0.01 nats of a run that was planned for
all its steps from the start, and only the additional steps are paid for. To go back to where the
decay began would give exactly that run, but repeats steps (at twice the length, 60 % more of them),
and takes away the finished model; for as many steps, warming up again is better. The
measurements are in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tinygpt.config import RunConfig
from tinygpt.optim import schedule
from tinygpt.training.learner import Learner


def fraction(config: RunConfig, step: int, seconds: float) -> float:
    """Share of a run completed, 0 to 1, after `step` steps and `seconds` of wall time: by steps or
    by time, whichever is larger."""
    by_time = seconds / (60 * (config.minutes or math.inf))
    return min(1.0, max(by_time, step / (config.steps or math.inf)))


def rewarm(
    learners: Sequence[Learner], before: RunConfig, earlier: Mapping[str, int]
) -> dict[str, int]:
    """Set from which step on each variant warms up; returns these steps, of those that do so again.

    Args:
        learners: the variants, restored and with their new end.
        before: the settings until now.
        earlier: what the last resume of the run returned.
    """
    for learner in learners:
        step, known = learner.progress.step, earlier.get(learner.variant, 0)
        jumps = _rate(learner, learner.config) > _rate(learner, before)
        # It may have fallen back to a checkpoint from before the end was moved.
        learner.warm_from = step if jumps or step < known else known
    return {v.variant: v.warm_from for v in learners if v.warm_from}


def _rate(learner: Learner, config: RunConfig) -> float:
    """The learning rate of the next step as a share of its peak, without a warm-up."""
    progress = learner.progress
    return schedule(fraction(config, progress.step, progress.wall_seconds), 1.0, config.optim)


def in_words(learners: Sequence[Learner]) -> str | None:
    """That the learning rate is about to warm up once more, in a sentence; None if it is not."""
    again = [v for v in learners if v.warm_from and v.warm_from == v.progress.step]
    if not again:
        return None
    where = {f"{v.warm_from:,}": v.variant for v in again}
    places = where if len(where) == 1 else [f"{step} ({name})" for step, name in where.items()]
    return (
        f"goes on from step {' and '.join(places)}: the learning rate warms up once more, over "
        f"{again[0].config.optim.warmup} steps, then decays towards the new end"
    )
