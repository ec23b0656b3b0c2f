"""What a training will cost: parameters exactly, memory and time about.

Time is measured wherever it can be: a run of the same shape on this device says what a step takes.
Otherwise it is a model with three terms for each variant and step, F the floating-point operations
of its products (6 for a parameter and token, 12 x context x width x layers for attention), E the
token-channels that go through its layers, L its layers:

    seconds = F / (0.6 R) + 64 ns E (226 GFLOP/s / R) + 2.6 ms L

R is what numpy's product of matrices reaches here. The constants fit the two runs of
docs/benchmarks.md within 15 % (nano 5 min, micro 12 min, two cores). MoE takes 1.5 times
as long as Dense; an evaluation costs a third of a step a token. A GPU is another matter, and is
not guessed at.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TypeAlias

from tinygpt.config import PRESETS, ModelConfig, RunConfig, build, flatten, from_tables, preset_for
from tinygpt.errors import TinyGPTError
from tinygpt_tui.monitor.machine import has_gpu
from tinygpt_tui.monitor.summary import Summary

VOCABULARY = 65
"""Distinct characters of tinyshakespeare."""
CHARACTERS = 1_115_394

_TOGETHER = 0.75  # of a core's own speed, when all of them share the memory
_REFERENCE = 226e9  # FLOP/s of numpy where the constants were fitted
_EFFICIENCY = 0.6
_ELEMENT = 64e-9
_LAYER = 2.6e-3
_SHARE = {"dense": 0.8, "moe": 1.2}  # of the mean of both

_PROCESS = 370 << 20  # bytes of Python and torch before there is a model
_ACTIVATIONS = 48  # numbers kept for the backward pass for each token, channel and layer

Rate: TypeAlias = tuple[RunConfig, float]
"""What was trained, and the seconds that a step of it took."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a configuration costs."""

    parameters: Mapping[str, tuple[int, int]]
    """(total, active for one token) by variant."""
    memory: int
    """Bytes, about."""
    seconds: float | None
    """Until its end; None where nothing is known yet."""
    is_measured: bool
    """The time is what a run of this shape took here."""


def estimate(config: RunConfig, speed: float | None = None, rates: Iterable[Rate] = ()) -> Estimate:
    """The cost of `config`; `speed` as of `machine_speed`, `rates` of earlier runs.

    Without a speed (it takes some milliseconds to measure: not in the thread that draws) and
    without a matching rate there is no time.
    """
    rate = next((r for measured, r in rates if _shape(measured) == _shape(config)), None)
    is_measured = rate is not None
    if rate is None and speed and not uses_gpu(config):
        rate = step_seconds(config, speed)
    return Estimate(
        parameters={v: config.model_config(v, VOCABULARY).parameters() for v in config.variants},
        memory=memory(config),
        seconds=_until_end(config, rate),
        is_measured=is_measured,
    )


def memory(config: RunConfig) -> int:
    """Bytes that training takes at its peak, about.

    The process itself; for each variant 16 bytes a parameter (weights, gradients and optimizer
    state; Muon's is half of AdamW's, and checkpoints take that half); the activations of the larger
    variant, which live only within a step of one: 48 numbers for each token, channel and layer, and
    three for each logit.
    """
    tokens = config.train.batch * config.gpt.context
    weights = sum(config.model_config(v, VOCABULARY).parameters()[0] for v in config.variants)
    layers = _ACTIVATIONS * config.gpt.layers * config.gpt.width
    return _PROCESS + 16 * weights + 4 * tokens * (layers + 3 * VOCABULARY)


def step_seconds(config: RunConfig, speed: float) -> float:
    """Seconds of one step of all variants, evaluation included; `speed` in FLOP/s."""
    windows = config.train.eval_train_windows * config.gpt.context
    evaluated = (CHARACTERS // 10 + windows) / config.train.eval_every
    tokens = config.batch_tokens + evaluated / 3
    return sum(
        _SHARE[v] * _pass_seconds(config.model_config(v, VOCABULARY), tokens, speed)
        for v in config.variants
    )


def _pass_seconds(model: ModelConfig, tokens: float, speed: float) -> float:
    active = model.parameters()[1]
    flops = tokens * (6 * active + 12 * model.context * model.width * model.layers)
    elements = tokens * model.width * model.layers
    products = flops / (_EFFICIENCY * speed)
    return products + _ELEMENT * elements * _REFERENCE / speed + _LAYER * model.layers


def _until_end(config: RunConfig, rate: float | None) -> float | None:
    ends = []
    if config.minutes is not None:
        ends.append(60 * config.minutes)
    if config.steps is not None and rate is not None:
        ends.append(rate * config.steps)
    elif config.steps is not None:  # the steps may be over before the minutes
        return None
    return min(ends, default=None)


def _shape(config: RunConfig) -> dict[str, object]:
    """What decides the time of a step."""
    groups = ("gpt.", "moe.", "train.batch", "train.accumulate", "train.eval_every")
    keep = ("model", "device", "tokenizer", "optim.optimizer")
    flat = flatten(config)
    return {name: flat[name] for name in flat if name in keep or name.startswith(groups)}


def measured_rate(run: Summary) -> Rate | None:
    """What a finished run says about the time of a step; None if it cannot say."""
    if not run.settings or not run.step or not run.wall_seconds:
        return None
    known = {name.partition(".")[0] for name in flatten(RunConfig())} | {
        "minutes",
        "target_loss",
        "steps",
    }
    tables = {name: value for name, value in run.settings.items() if name in known}
    try:
        config = build(from_tables(tables), preset_applies=False)
    except TinyGPTError:  # of a later version, or edited by hand
        return None
    return config, run.wall_seconds / run.step


@cache
def machine_speed() -> float:
    """FLOP/s of fp32 products of matrices on all cores, as far as 30 ms and 50 products can tell.

    One core's best at a small product, times the cores: a large one runs on all of them, and where
    another process has one, it waits for that one and finds a tenth of the speed. The first call
    imports numpy: make it in a thread.
    """
    import numpy as np  # noqa: PLC0415 - 100 ms

    size = 96  # small enough to stay on one core
    matrix = np.full((size, size), 0.5, dtype=np.float32)
    out = matrix @ matrix
    best, count, begin = float("inf"), 0, time.perf_counter()
    # On a busy machine 30 ms may pass within the first product: count them, too.
    while (now := time.perf_counter()) - begin < 0.03 or count < 50:
        np.matmul(matrix, matrix, out=out)
        best, count = min(best, time.perf_counter() - now), count + 1
    return float(2 * size**3 / best) * (os.cpu_count() or 1) * _TOGETHER


def uses_gpu(config: RunConfig) -> bool:
    """Whether the run will train on a GPU."""
    return _likely_device(config.device) != "cpu"


def _likely_device(name: str = "auto") -> str:
    """What `tinygpt.device.choose_device` will choose, guessed without importing torch."""
    if name != "auto":
        return name
    is_apple_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    return "cuda" if _cuda() else "mps" if is_apple_gpu else "cpu"


@cache
def _cuda() -> bool:
    try:
        is_cpu_build = "+cpu" in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return not is_cpu_build and has_gpu()


def default_preset() -> str:
    """What ``--preset auto`` will take: nano without a GPU, baby with one."""
    return preset_for(_likely_device())


def preset_config(preset: str) -> RunConfig:
    """A preset as it is."""
    assert preset in PRESETS
    return build({"preset": preset})


def about_time(seconds: float | None) -> str:
    """A duration for people: "about 5 min"; "" if it is not known."""
    if seconds is None:
        return ""
    for unit, name, until in ((1, "s", 90), (60, "min", 90), (3600, "h", 48), (86400, "days", 0)):
        if seconds < until * unit or not until:
            value = seconds / unit
            return (
                f"about {value:.0f} {name}"
                if value >= 2 or unit == 1
                else (f"about {value:.1f} {name}")
            )
    raise AssertionError


def short_count(number: float) -> str:
    """Parameters in three digits: 805,632 is "0.81 M"."""
    for unit, name in ((1e9, " B"), (1e5, " M"), (1e3, " k")):
        if number >= unit:
            value = number / (1e6 if unit == 1e5 else unit)
            return f"{value:.2f}{name}" if value < 10 else f"{value:.0f}{name}"
    return f"{number:.0f}"


def short_bytes(number: float) -> str:
    """Bytes as people say them: "510 MB", "2.4 GB"."""
    if number < 1e9:
        return f"{number / 1e6:.0f} MB"
    return f"{number / 1e9:.1f} GB" if number < 1e10 else f"{number / 1e9:.0f} GB"
