"""Which checkpoints a run keeps: the newest, the best, and log-spaced snapshots."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tinygpt.errors import CheckpointError
from tinygpt.files import atomic
from tinygpt.run.layout import StrPath, checkpoint_dir, list_steps
from tinygpt.run.meta import TRAINING

RESUMABLE = 3
"""How many of a variant's newest checkpoints keep their training state: one and two spares."""


def prune(
    run: StrPath,
    variant: str,
    snapshots: int,
    best: int | None,
    *,
    resumable: int = RESUMABLE,
    reduce: Callable[[Path], None] | None = None,
) -> list[int]:
    """Delete all but the newest, the best and log-spaced snapshots; returns the deleted steps.

    The newest `resumable` stay whatever `snapshots` is, as a resume may need the spares. Older
    checkpoints lose their training state. What cannot be deleted is tried again at the next call.

    Args:
        run: the run directory.
        variant: whose checkpoints.
        snapshots: how many checkpoints stay, besides the best.
        best: the step that stays with its weights as they are, if there is one.
        resumable: how many keep their training state.
        reduce: for a large model, some of whose checkpoints have none from the start: makes a
            snapshot of a checkpoint. Those that can be resumed then do not count as snapshots.
    """
    steps = list_steps(run, variant)
    whole, always, newest = steps, set() if best is None else {best}, resumable
    if reduce:
        whole = [s for s in steps if os.path.exists(checkpoint_dir(run, variant, s) / TRAINING)]
        always, newest = always | {*whole[-resumable:]}, 1
    dropped = thin_out(steps, snapshots, always, newest=newest)
    for step in dropped:
        atomic.remove_directory(checkpoint_dir(run, variant, step))
    resumed_from = [s for s in whole if s not in dropped][-resumable:]
    for step in sorted({*steps} - {*dropped, *resumed_from}):
        folder = checkpoint_dir(run, variant, step)
        with suppress(OSError, CheckpointError):
            if not os.path.islink(folder):  # it may point into another run
                (folder / TRAINING).unlink(missing_ok=True)
                if reduce and step != best:
                    reduce(folder)
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
