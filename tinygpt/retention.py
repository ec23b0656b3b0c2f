"""Which checkpoints a run keeps: the newest, the best, and log-spaced snapshots."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import suppress

from tinygpt.files import atomic
from tinygpt.run.layout import StrPath, checkpoint_dir, list_steps
from tinygpt.run.meta import TRAINING

RESUMABLE = 3
"""How many of a variant's newest checkpoints keep their training state: one and two spares."""


def prune(run: StrPath, variant: str, snapshots: int, best: int | None) -> list[int]:
    """Delete all but the newest, the best and log-spaced snapshots; returns the deleted steps.

    The newest `RESUMABLE` stay whatever `snapshots` is, as a resume may need the spares. Older
    checkpoints lose their training state. What cannot be deleted is tried again at the next call.
    """
    steps = list_steps(run, variant)
    dropped = thin_out(steps, snapshots, [] if best is None else [best], newest=RESUMABLE)
    for step in dropped:
        atomic.remove_directory(checkpoint_dir(run, variant, step))
    for step in [s for s in steps if s not in dropped][:-RESUMABLE]:
        folder = checkpoint_dir(run, variant, step)
        with suppress(OSError):
            if not os.path.islink(folder):  # it may point into another run
                (folder / TRAINING).unlink(missing_ok=True)
    return dropped


def thin_out(
    steps: Iterable[int], snapshots: int, always: Iterable[int] = (), newest: int = 1
) -> list[int]:
    """Which steps to drop so that `snapshots` stay, evenly spaced in the logarithm of the step.

    The first and the `newest` steps stay, and so do those in `always`, which do not count towards
    `snapshots`. Calling this after every checkpoint gives nearly the spacing that would be possible
    if the last step were known in advance.
    """
    kept, fixed = sorted(set(steps)), set(always)
    dropped = []
    while len([s for s in kept if s not in fixed]) > max(snapshots, 1):
        inner = [i for i in range(1, len(kept) - newest) if kept[i] not in fixed]
        if not inner:
            break
        closest = min(inner, key=lambda i: math.log((kept[i + 1] + 1) / (kept[i - 1] + 1)))
        dropped.append(kept.pop(closest))
    return sorted(dropped)


def snapshot_due(step: int, snapshots: int, horizon: int = 1_000_000) -> bool:
    """Whether to take a snapshot at `step`, on a grid in the logarithm of the step.

    The grid has twice as many points up to `horizon` as are kept, so that `thin_out` has a choice.
    """
    if step == 0 or snapshots == 0:
        return step == 0
    scale = 2 * snapshots / math.log(horizon)
    return math.floor(scale * math.log(step)) > math.floor(scale * math.log(max(step - 1, 0.5)))
