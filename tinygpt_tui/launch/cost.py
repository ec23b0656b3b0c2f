"""The cost of training: exact parameter counts, approximate memory, and time if it was measured.

Time is never estimated: it is known only after a run of the same shape has finished.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from tinygpt.config import RunConfig, build, flatten, from_tables, preset_for
from tinygpt.errors import TinyGPTError
from tinygpt_tui.monitor.machine import has_gpu
from tinygpt_tui.monitor.summary import Summary

VOCABULARY = 65
"""Distinct characters of tinyshakespeare."""

_PROCESS = 370 << 20  # bytes that Python and torch need without a model
_ACTIVATIONS = 48  # numbers kept for the backward pass per token, channel and layer


def parameters(config: RunConfig) -> dict[str, tuple[int, int]]:
    """(total, active per token) parameters of each variant."""
    return {v: config.model_config(v, VOCABULARY).parameters() for v in config.variants}


def memory(config: RunConfig) -> int:
    """Approximate peak memory in bytes.

    The sum of the process itself; 16 bytes per parameter of both variants (weights, gradients and
    optimizer state; Muon needs half of AdamW's state, and writing checkpoints takes the other
    half); and the activations of one variant, since they only live within its step: 48 numbers per
    token, channel and layer, and three per logit.
    """
    tokens = config.train.batch * config.gpt.context
    weights = sum(total for total, _ in parameters(config).values())
    layers = _ACTIVATIONS * config.gpt.layers * config.gpt.width
    return _PROCESS + 16 * weights + 4 * tokens * (layers + 3 * VOCABULARY)


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A finished run: its configuration, and its wall seconds per step."""

    config: RunConfig
    step_seconds: float


def measured_run(run: Summary) -> MeasuredRun | None:
    """The measured speed of a finished run; None if it is unknown."""
    if not run.settings or not run.step or not run.wall_seconds:
        return None
    try:
        config = build(from_tables(run.settings), preset_applies=False)
    except TinyGPTError:  # written by a later version, or edited by hand
        return None
    return MeasuredRun(config, run.wall_seconds / run.step)


def measured_seconds(config: RunConfig, runs: Iterable[MeasuredRun]) -> float | None:
    """Wall seconds that `config` takes, by a run of the same shape; None without such a run."""
    for run in runs:
        if _shape(run.config) == _shape(config):
            limits = [
                60 * config.minutes if config.minutes is not None else None,
                run.step_seconds * config.steps if config.steps is not None else None,
            ]
            return min((limit for limit in limits if limit is not None), default=None)
    return None


def _shape(config: RunConfig) -> dict[str, object]:
    """The settings that determine how long a step takes."""
    groups = ("gpt.", "moe.", "train.batch", "train.accumulate", "train.eval_every")
    keep = ("model", "device", "tokenizer", "optim.optimizer")
    flat = flatten(config)
    return {name: flat[name] for name in flat if name in keep or name.startswith(groups)}


def uses_gpu(config: RunConfig) -> bool:
    """Whether the run will train on a GPU."""
    return _likely_device(config.device) != "cpu"


def _likely_device(name: str = "auto") -> str:
    """What `tinygpt.device.choose_device` will choose, guessed without importing torch."""
    if name != "auto":
        return name
    is_apple_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    return "cuda" if _has_cuda() else "mps" if is_apple_gpu else "cpu"


@cache
def _has_cuda() -> bool:
    try:
        is_cpu_build = "+cpu" in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return not is_cpu_build and has_gpu()


def default_preset() -> str:
    """What ``--preset auto`` will choose: nano without a GPU, baby with one."""
    return preset_for(_likely_device())


def short_bytes(number: float) -> str:
    """Bytes with a unit: "510 MB", "2.4 GB"."""
    if number < 1e9:
        return f"{number / 1e6:.0f} MB"
    return f"{number / 1e9:.1f} GB" if number < 1e10 else f"{number / 1e9:.0f} GB"
