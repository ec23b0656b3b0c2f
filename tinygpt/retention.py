"""Which checkpoints a run keeps: the newest, the best, and log-spaced snapshots of its course."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress

from tinygpt.checkpoint import TRAINING
from tinygpt.files import atomic
from tinygpt.run.layout import StrPath, checkpoint_dir, list_steps

RESUMABLE = 3
"""Newest checkpoints of a variant that keep their training state: one to resume, two in reserve."""


def prune(run: StrPath, variant: str, snapshots: int, best: int | None) -> list[int]:
    """Keep the newest, the best and log-spaced snapshots; of the older ones the weights alone.

    Returns the steps that were deleted. A disk that refuses is left for the next time.
    """
    steps = list_steps(run, variant)
    dropped = thin_out(steps, snapshots, [] if best is None else [best])
    for step in dropped:
        atomic.remove_directory(checkpoint_dir(run, variant, step))
    for step in [s for s in steps if s not in dropped][:-RESUMABLE]:
        folder = checkpoint_dir(run, variant, step)
        with suppress(OSError):
            if not folder.is_symlink():  # or another run would lose its own
                (folder / TRAINING).unlink(missing_ok=True)
    return dropped


def thin_out(steps: Iterable[int], snapshots: int, always: Iterable[int] = ()) -> list[int]:
    """Which steps to drop so that `snapshots` stay, evenly spaced in the logarithm of the step.

    The first and the newest stay, and those in `always`, which do not count. Dropping one by one as
    the steps come gives nearly the spacing that knowing the end would give.
    """
    kept, fixed = sorted(set(steps)), set(always)
    dropped = []
    while len([s for s in kept if s not in fixed]) > max(snapshots, 1):
        inner = [i for i in range(1, len(kept) - 1) if kept[i] not in fixed]
        if not inner:
            break
        closest = min(inner, key=lambda i: math.log((kept[i + 1] + 1) / (kept[i - 1] + 1)))
        dropped.append(kept.pop(closest))
    return sorted(dropped)


def snapshot_due(step: int, snapshots: int, horizon: int = 1_000_000) -> bool:
    """Whether a snapshot is due at `step`: its place on a log scale passed a grid line.

    Twice as many as are kept, up to `horizon` steps, so that `thin_out` has a choice.
    """
    if step == 0 or snapshots == 0:
        return step == 0
    scale = 2 * snapshots / math.log(horizon)
    return math.floor(scale * math.log(step)) > math.floor(scale * math.log(max(step - 1, 0.5)))
