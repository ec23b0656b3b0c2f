"""How far a variant has come, and how a checkpoint stores it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from tinygpt.checkpoint import Snapshot
from tinygpt.model_config import ModelConfig
from tinygpt.run.lines import LARGEST


@dataclass(slots=True)
class Progress:
    """How far a variant has come: what a resume continues from and the final table shows."""

    step: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    """In this variant's optimizer steps: not in evaluation, sampling, or the other variant."""
    wall_seconds: float = 0.0
    """Of the whole run so far, over all its sessions, without pauses."""
    evaluated_step: int | None = None
    """Step of the last evaluation, which gave the two losses below."""
    val_loss: float | None = None
    train_loss: float | None = None
    probe_bias: float | None = None
    """Loss over the whole validation split minus that over the probe, at that evaluation."""
    best_val_loss: float | None = None
    best_step: int | None = None
    seconds_to_target: float | None = None
    """`train_seconds` when an evaluation first reached the target loss."""
    expert_load: list[list[float]] | None = None
    """(layers, experts): shares of the tokens at the last evaluation; None for Dense."""


def progress_of(snapshot: Snapshot) -> Progress:
    """The progress stored in a checkpoint; ValueError or TypeError if it is not valid."""
    progress = Progress(**snapshot.progress)
    for name, value in asdict(progress).items():
        valid = value is None or _is_valid(name, value)
        if name == "expert_load" and value is not None:
            valid = _is_load(value, snapshot.config)
        if not valid:
            raise TypeError(f"its progress has no valid {name!r}")
    if progress.step != snapshot.step or progress.tokens != snapshot.tokens:
        raise ValueError("its progress is of another step")
    return progress


def _is_valid(name: str, value: Any) -> bool:
    is_count = name in ("step", "tokens", "evaluated_step", "best_step")
    number = type(value) is int or (type(value) is float and math.isfinite(value) and not is_count)
    lowest = -LARGEST if name == "probe_bias" else 0
    return number and lowest <= value < LARGEST


def _is_load(value: Any, config: ModelConfig) -> bool:
    """Whether it is (layers, experts) shares."""
    experts = config.moe.experts if config.moe else 0
    rows = value if isinstance(value, list) and len(value) == config.layers else [None]
    return all(
        isinstance(row, list)
        and len(row) == experts
        and all(type(share) in (int, float) and 0 <= share <= 1 for share in row)
        for row in rows
    )
