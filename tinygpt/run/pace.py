"""How long a training still takes, by the speed that its own records show.

The first steps of a session say little: they compile kernels, fill caches and lie between the first
checkpoints, which are dense. They are left out, and until there are later ones nothing is said.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tinygpt.run.records import EvalRecord

WARMUP_STEPS = 10
"""Steps of a session that are left out: torch.compile may compile again in several of them."""
WINDOW = 50
"""Train records over which the speed is measured, since single steps are noisy."""
_EVALUATIONS = 3
"""How many of the latest evaluations are compared: of the last one, a variant may lack its own."""


class Pace(NamedTuple):
    """How far a variant is, and the seconds of training that one of its steps takes; None if that
    is not known yet."""

    step: int
    step_seconds: float | None


def step_seconds(steps: Sequence[float], seconds: Sequence[float], first: int) -> float | None:
    """Training seconds per step over the latest records of a session; None during its warm-up.

    `steps` (ascending) and `seconds` (training seconds up to each) are those of the train records;
    the session began after step `first`.
    """
    begin = max(len(steps) - WINDOW, bisect_left(steps, first + WARMUP_STEPS))
    if begin >= len(steps) - 1:
        return None
    taken, took = float(steps[-1] - steps[begin]), float(seconds[-1] - seconds[begin])
    return took / taken if taken > 0 and took > 0 else None


def overhead(evaluations: Mapping[str, Sequence[EvalRecord]]) -> float:
    """Wall seconds per step besides training: evaluations, samples and checkpoints.

    Measured between the two latest evaluations that all variants have taken; 0 before there are
    two, since the first one comes after the dense checkpoints. `evaluations` are by variant.
    """
    latest = [{e.step: e for e in taken[-_EVALUATIONS:]} for taken in evaluations.values()]
    shared = sorted(set[int].intersection(*(set(taken) for taken in latest))) if latest else []
    if len(shared) < 2:
        return 0.0
    begin, end = ([taken[step] for taken in latest] for step in shared[-2:])
    wall = max(e.wall_seconds for e in end) - max(e.wall_seconds for e in begin)
    trained = sum(e.train_seconds for e in end) - sum(e.train_seconds for e in begin)
    return max(0.0, wall - trained) / (shared[-1] - shared[-2])


def seconds_left(steps: int, active: Collection[Pace], step_overhead: float) -> float | None:
    """Wall seconds until the variants that still train have taken `steps` steps, one after the
    other; None while the speed of one is not known, or none trains."""
    if not active:
        return None
    total = 0.0
    for pace in active:
        if pace.step_seconds is None:
            return None
        total += max(0, steps - pace.step) * pace.step_seconds
    return total + max(0, steps - min(pace.step for pace in active)) * step_overhead
