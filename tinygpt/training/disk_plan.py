"""How much room the checkpoints of a run take on disk, and how many it keeps within a budget.

Known before the first step: the sizes follow from the model and its optimizers, the number of
checkpoints from `tinygpt.retention`. A run's other files are small beside them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinygpt import formatting
from tinygpt.config import RunConfig
from tinygpt.errors import ConfigError
from tinygpt.fields import Setting, SettingError, flag
from tinygpt.model_config import ModelConfig
from tinygpt.retention import RESUMABLE
from tinygpt.run.disk import free_bytes
from tinygpt.training.learner import Learner
from tinygpt.training.optimizer_state import state_shapes

LARGE_MODEL = 50_000_000
"""Parameters from which snapshots are the weights alone, in bf16. Between `baby` (a save of MoE
takes 0.4 GB) and `small` (1.8 GB for Dense, 4.3 GB for MoE)."""
WORTH_SAYING = 1_000_000_000
"""Bytes from which a run says how much it will take."""

_GB = 1e9
_FP32, _BF16 = 4, 2
_PER_TENSOR, _PER_CHECKPOINT = 160, 4096
"""Bytes, at most: the entry of a tensor in the header of its file, and what is in meta.json."""
_PER_EXPERT = 26
"""Bytes of the share of an expert in meta.json."""


@dataclass(frozen=True, slots=True)
class CheckpointBytes:
    """The size of the checkpoints of one variant, in bytes."""

    resumable: int
    """With training state."""
    best: int
    """Without: the weights in fp32."""
    snapshot: int
    """Of one to look at: in bf16 if the model is large."""
    large: bool


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """What a run keeps."""

    snapshots: int
    """Of each variant."""
    resumable: int
    """How many of the newest checkpoints of each variant can be resumed from."""
    bytes: int
    """That all checkpoints take at most, one that is being written included."""


def is_large(config: ModelConfig) -> bool:
    """Whether the snapshots of a model are its weights alone, in bf16."""
    return config.parameters()[0] >= LARGE_MODEL


def plan(config: RunConfig, learners: Sequence[Learner]) -> DiskPlan:
    """What is kept of a run: what its settings say, or as much of it as its budget allows.

    Snapshots are given up first, then the spares that a resume falls back to.

    Raises:
        SettingError: the budget is less than the least that a run keeps; says how much that is.
    """
    sizes, asked = [checkpoint_bytes(v) for v in learners], config.train.snapshots
    budget = config.train.disk_budget
    whole = DiskPlan(asked, RESUMABLE, need(sizes, asked, RESUMABLE, config.steps))
    if budget is None or whole.bytes <= round(budget * _GB):
        return whole
    fewest = min(asked, 1)
    for resumable in range(RESUMABLE, 0, -1):
        counts = range(fewest, asked + 1)
        needs = partial(need, sizes, resumable=resumable, steps=config.steps)
        fitting = bisect_right(counts, round(budget * _GB), key=needs)
        if fitting:
            snapshots = counts[fitting - 1]
            return DiskPlan(snapshots, resumable, needs(snapshots))
    raise SettingError(
        Setting("train.disk_budget"),
        f" {budget:g} is too small for a checkpoint to resume from and the next one, the best and "
        f"a snapshot of each model: set at least {_gigabytes(needs(fewest), up=True)}",
    )


def need(
    sizes: Sequence[CheckpointBytes], snapshots: int, resumable: int, steps: int | None
) -> int:
    """Bytes that the checkpoints of a run take at most, with one of each variant being written.

    `sizes` are those of its variants; there are at most as many checkpoints as `steps`, and one.
    """
    most = math.inf if steps is None else steps + 1
    total = 0
    for size in sizes:
        # As `prune` counts them: those of a large model that can be resumed come on top.
        others = max(snapshots, 2) if size.large else max(snapshots - resumable, 1)
        total += size.best
        total += int(min(resumable + 1, most)) * size.resumable
        total += int(min(others, most)) * size.snapshot
    return total


def checkpoint_bytes(learner: Learner) -> CheckpointBytes:
    """How large the checkpoints of a variant are, at most."""
    weights = learner.model.state_dict()
    numbers, tensors = sum(t.numel() for t in weights.values()), len(weights)
    state = state_shapes(learner.optimizers)
    moe, layers = learner.model.config.moe, learner.model.config.layers
    meta = _PER_CHECKPOINT + (_PER_EXPERT * layers * moe.experts if moe else 0)
    overhead = meta + _PER_TENSOR * tensors
    copies = 2 if learner.average else 1  # the weights being trained, beside their average
    training = _FP32 * (sum(shape.numel() for shape in state.values()) + (copies - 1) * numbers)
    large = is_large(learner.model.config)
    return CheckpointBytes(
        resumable=overhead * copies + _FP32 * numbers + training + _PER_TENSOR * len(state),
        best=overhead + _FP32 * numbers,
        snapshot=overhead + (_BF16 if large else _FP32) * numbers,
        large=large,
    )


def refuse_full_disk(planned: DiskPlan, out: str) -> None:
    """Raises ConfigError if the disk of the folder `out` has less room than a new run takes."""
    free = free_bytes(out)
    if free is None or planned.bytes <= free:
        return
    raise ConfigError(
        f"{out} has {formatting.size(free)} free, but the checkpoints of this run take up to "
        f"{formatting.size(planned.bytes)}: free some, choose another folder with --out, or keep "
        f"fewer with {flag('train.disk_budget')} {_gigabytes(free)}"
    )


def in_words(planned: DiskPlan, config: RunConfig, path: Path) -> str | None:
    """How much a run takes on disk, in a line for the user; None if that is not worth one."""
    budget = config.train.disk_budget
    fewer = (planned.snapshots, planned.resumable) != (config.train.snapshots, RESUMABLE)
    if planned.bytes < WORTH_SAYING and not fewer:
        return None
    line = f"disk: checkpoints take up to {formatting.size(planned.bytes)}"
    if fewer and budget is not None:
        line += (
            f", within {flag('train.disk_budget')} {budget:g}: {planned.snapshots} snapshots of "
            f"each model, not {config.train.snapshots}, and {planned.resumable} to resume from"
        )
    free = free_bytes(path)
    return line + (f"; {formatting.size(free)} free" if free is not None else "")


def _gigabytes(count: int, *, up: bool = False) -> str:
    """Bytes as a value of the setting, with three digits, rounded down or up."""
    value = count / _GB
    unit = 10.0 ** (math.floor(math.log10(value)) - 2) if value > 0 else 1.0
    return f"{(math.ceil if up else math.floor)(value / unit) * unit:.6g}"
