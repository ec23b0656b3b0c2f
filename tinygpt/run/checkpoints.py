"""Which checkpoint is meant: by "best", by "newest", by a step, or if nothing is said.

The library, the commands and the app all ask `CheckpointList.ranked`. What it compares comes from
the ``meta.json`` of each checkpoint on disk, so it needs neither torch nor the run's records.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from tinygpt.errors import CheckpointError
from tinygpt.run.layout import VARIANTS, StrPath, checkpoint_dir, list_steps
from tinygpt.run.meta import META, WEIGHTS, check_size, read_meta, recorded
from tinygpt.run.status import read_state

Name: TypeAlias = Literal["best", "newest"]
NAMES: tuple[Name, ...] = ("best", "newest")
Which: TypeAlias = Name | int
"""The best or the newest checkpoint, or that of a step."""


@dataclass(frozen=True, slots=True)
class CheckpointList:
    """The checkpoints of one variant, as they were on disk at one moment."""

    val_losses: Mapping[int, float | None] = field(default_factory=dict)
    """By step, ascending; in nats per token, None where it was not measured or cannot be read. The
    losses of one run compare: all are over its validation split, or all over the same sample."""
    problems: Mapping[int, str] = field(default_factory=dict)
    """Why some of them cannot be used. A listing does not read the weights, so it may not know."""
    live: bool = False
    """Whether a trainer is working on the run."""

    @property
    def steps(self) -> tuple[int, ...]:
        """All steps, ascending."""
        return tuple(self.val_losses)

    @property
    def default(self) -> Name:
        """What is meant if nothing is said: the newest of a run that a trainer is working on (it
        is live or paused), the best of any other, whether done, stopped, failed, killed or stalled.
        """
        return "newest" if self.live else "best"

    def ranked(self, which: Which | None = None) -> list[int]:
        """The step that is meant by `which`, then those that stand in for it, in this order.

        - "newest": from the last step to the first
        - "best": by validation loss, equal ones in the order of training. First come those whose
          loss cannot be read, as each may be the best; last, the newest first, those that were not
          evaluated.
        - a step: that step alone; empty if it has no checkpoint
        - None: the `default`
        """
        which = which if which is not None else self.default
        if isinstance(which, int):
            return [which] if which in self.val_losses else []
        if which == "newest":
            return sorted(self.val_losses, reverse=True)
        return sorted(self.val_losses, key=self._rank)

    def _rank(self, step: int) -> tuple[float, int]:
        loss = self.val_losses[step]
        if loss is not None:
            return loss, step
        return (-math.inf if step in self.problems else math.inf), -step

    def step(self, which: Which | None = None) -> int | None:
        """The step to use for `which`: the first of `ranked` without a problem, if there is one."""
        ranked = self.ranked(which)
        intact = (step for step in ranked if step not in self.problems)
        return next(intact, ranked[0] if ranked else None)

    def name(self, which: Which | None = None) -> Name | None:
        """What `step` is called: the best or the newest; None for a step that was named itself.

        As long as none was evaluated, there is no best, and the newest stands in for it.
        """
        which = which if which is not None else self.default
        if isinstance(which, int):
            return None
        step = self.step(which)
        return "newest" if step is None or self.val_losses[step] is None else which

    def names_of(self, step: int) -> list[Name]:
        """By which names `step` is what is used now, the default one first."""
        names = sorted(NAMES, key=lambda name: name != self.default)
        return [name for name in names if self.name(name) == name and self.step(name) == step]

    def other(self, which: Which | None = None) -> Name | None:
        """What to use instead of `which`, switching between the best and the newest. None: the
        default, to which a step returns as well."""
        if isinstance(which, int) or which not in (None, self.default):
            return None
        return next(name for name in NAMES if name != self.default)

    def note(self, which: Which | None = None) -> str:
        """Why another step than the first of `ranked` is used; empty if it is used."""
        ranked, step = self.ranked(which), self.step(which)
        if not ranked or step == ranked[0]:
            return ""
        problem = self.problems[ranked[0]]
        return f"step {ranked[0]:,} cannot be used, so step {step:,} stands in: {problem}"

    def without(self, problems: Mapping[int, str]) -> CheckpointList:
        """With more `problems`, such as those that came up in loading the weights."""
        known = {step: why for step, why in problems.items() if step in self.val_losses}
        return replace(self, problems={**self.problems, **known})


def list_checkpoints(run: StrPath, *, live: bool | None = None) -> dict[str, CheckpointList]:
    """The checkpoints of each variant of a run directory; `live` by default as its state says."""
    live = read_state(run).active if live is None else live
    return {variant: list_variant(run, variant, live=live) for variant in VARIANTS}


def list_variant(run: StrPath, variant: str, *, live: bool = False) -> CheckpointList:
    """The checkpoints of one variant. Reads small files only, and these once."""
    val_losses: dict[int, float | None] = {}
    problems: dict[int, str] = {}
    for step in list_steps(run, variant):
        folder = checkpoint_dir(run, variant, step)
        try:
            val_losses[step], sizes = _val_loss_and_sizes(str(folder), _stamp(folder / META))
            size = _size(folder / WEIGHTS)  # it may be being copied
            check_size(folder / WEIGHTS, size, size if size in sizes else sizes[0])
        except CheckpointError as error:
            val_losses.setdefault(step, None)
            problems[step] = str(error)
            if not os.path.isdir(folder):  # it was pruned just now
                del val_losses[step], problems[step]
    return CheckpointList(val_losses, problems, live)


def _stamp(file: Path) -> tuple[int, ...]:
    """Changes with the file; empty if that cannot be told."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1024)
def _val_loss_and_sizes(
    folder: str, stamp: tuple[int, ...]
) -> tuple[float | None, tuple[object, ...]]:
    """The validation loss, and the recorded bytes of the weights; where they are being replaced,
    also of those before. The app lists every 2 seconds."""
    del stamp
    meta = read_meta(Path(folder))
    return meta["val_loss"], tuple(entry.get("bytes") for entry in recorded(meta, WEIGHTS))


def _size(file: Path) -> int:
    """Bytes of a file. Raises CheckpointError if it cannot be read."""
    try:
        return file.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from error
