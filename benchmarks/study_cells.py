"""The cells of the study: which variants are trained, with which options, and the training of one.

A cell is one variant, at one scale, with one seed: an ordinary run, which the app can open.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from tinygpt.command.portable import as_options
from tinygpt.config import Shares, build, flatten, from_tables
from tinygpt.data.batches import Batches
from tinygpt.data.splits import split_sizes
from tinygpt.files import atomic
from tinygpt.presets import PRESETS
from tinygpt.run import RUN_TOML, read_config
from tinygpt.run.reader import last_end
from tinygpt.training.learner import Learner
from tinygpt.training.malloc import keep_freed_memory
from tinygpt.training.recipe import with_recipe

SCALES = ("micro", "nano", "baby")
TEST_SHARE = 0.1
COMMON = {"test_share": TEST_SHARE, "train.sample_tokens": 0, "train.snapshots": 8}
"""Settings of all cells that differ from the defaults. None has an effect on what is learned, but
for the share of the text that is kept for the test."""
SPEED = "speed.json"
ROUNDS, MILLISECONDS = 7, 1500
"""In which the speed of the variants is measured, in turns, and of each variant in a round."""


@dataclass(frozen=True)
class Variant:
    """What is compared."""

    name: str
    title: str
    """As tables and plots have it."""
    settings: dict[str, str | int | float] = field(compare=False)
    """By dotted name, besides those of the preset."""

    @property
    def model(self) -> str:
        """The folder of its model in the run: "dense" or "moe"."""
        return str(self.settings["model"])


DENSE = Variant("dense", "Dense", {"model": "dense"})
DENSE_TOTAL = Variant("dense-total", "Dense, total parameters of MoE", {"model": "dense"})
DENSE_TIME = Variant("dense-time", "Dense, training time of MoE", {"model": "dense"})
MOE = Variant("moe", "MoE, 4 experts, top-1 (default)", {"model": "moe"})
FROZEN = Variant(
    "moe-frozen", "MoE, router weights frozen", {"model": "moe", "moe.router": "frozen"}
)
VARIANTS = (
    DENSE,
    MOE,
    DENSE_TOTAL,
    DENSE_TIME,
    FROZEN,
    Variant("moe-unbalanced", "MoE, no balance loss", {"model": "moe", "moe.aux_loss": 0.0}),
    Variant(
        "moe-bias",
        "MoE, selection bias for balance",
        {"model": "moe", "moe.aux_loss": 0.0, "moe.bias_rate": 0.001},
    ),
    Variant("moe-8", "MoE, 8 experts, top-1", {"model": "moe", "moe.experts": 8}),
    Variant("moe-top2", "MoE, 4 half-width experts, top-2", {"model": "moe", "moe.top_k": 2}),
)
BY_NAME = {variant.name: variant for variant in VARIANTS}


@dataclass(frozen=True)
class Study:
    """Where the study is, and what all of its cells share."""

    data: Path
    out: Path
    device: str = "cpu"
    steps: int | None = None
    """Instead of the preset's, for a trial of the whole."""

    @cached_property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.data.read_bytes()).hexdigest()

    def scaled(self, count: int) -> int:
        """How much of something is measured: `count`, or in a trial a little."""
        return max(2, count // 100) if self.steps else count

    def folder(self, scale: str) -> Path:
        """Of the runs of a scale."""
        return self.out / scale

    def run(self, scale: str, variant: Variant, seed: int) -> Path:
        """The run directory of a cell."""
        return self.folder(scale) / f"{variant.name}-s{seed}"

    def settings(self, scale: str, variant: Variant) -> dict[str, str | int | float]:
        """The settings of a variant by dotted name; its seed alone is missing."""
        found: dict[str, str | int | float] = {"preset": scale, **COMMON, **variant.settings}
        found |= {"device": self.device, "data": str(self.data), **self.recipe(scale)}
        if self.device == "cpu":
            found["train.threads"] = 1  # so that cells beside each other are as they are alone
        if self.steps:
            found |= {"steps": self.steps, "train.eval_every": max(1, self.steps // 8)}
        if variant is DENSE_TOTAL:
            plain = build(found)
            found["gpt.hidden"] = plain.moe.experts * plain.gpt.active_hidden
        if variant is DENSE_TIME:
            found["steps"] = self._steps_in_the_time_of_moe(scale)
        return found

    def recipe(self, scale: str) -> dict[str, str | int | float]:
        """What the trainer chooses for Dense, for all variants: its choice depends on the number of
        parameters, and the comparison should not."""
        characters, vocabulary = _sizes(self.data)
        config = build({"preset": scale, **({"steps": self.steps} if self.steps else {})})
        trained, _, _ = split_sizes(characters, Shares(test=TEST_SHARE))
        optim = with_recipe(config, trained, vocabulary, self.device)[0].optim
        assert optim.weight_decay is not None
        assert optim.weight_decay_power is not None
        return {
            "optim.weight_decay": optim.weight_decay,
            "optim.weight_decay_power": optim.weight_decay_power,
        }

    def _steps_in_the_time_of_moe(self, scale: str) -> int:
        speed = read_speed(self, scale)
        steps = self.steps or PRESETS[scale]["steps"]
        return round(int(steps) * speed[MOE.name] / speed[DENSE.name])


@lru_cache(maxsize=1)
def _sizes(data: Path) -> tuple[int, int]:
    """Characters of a text, and how many different ones."""
    text = data.read_text(encoding="utf-8")
    return len(text), len(set(text))


def is_done(run: Path) -> bool:
    """Whether a run has been trained to its end."""
    end = last_end(run)
    return end is not None and end.state == "done"


def problem(study: Study, scale: str, variant: Variant, seed: int) -> str | None:
    """Why a run that is there already is not this cell; None if it is, or there is none."""
    run = study.run(scale, variant, seed)
    if not (run / RUN_TOML).exists():
        return None
    stored = flatten(build(from_tables(read_config(run)), preset_applies=False))
    settings = study.settings(scale, variant) | {"seed": seed, "data": stored["data"]}
    wanted = flatten(build(settings).with_vocabulary(_sizes(study.data)[1]))
    different = [n for n in sorted(wanted | stored) if wanted.get(n) != stored.get(n)]
    if read_config(run)["corpus"]["sha256"] != study.sha256:
        different.insert(0, "data")
    if not different:
        return None
    return f"{run} was trained with another {', '.join(different)}: choose another --out"


def command(study: Study, scale: str, variant: Variant, seed: int, out: Path) -> list[str]:
    """The command that trains a cell in the folder of runs `out`, or resumes it."""
    run = study.run(scale, variant, seed)
    begin = [sys.executable, "-m", "tinygpt_tui", "--train-only", "--json", "--out", str(out)]
    begin += ["--name", run.name]
    if (out / run.name).exists():
        return [*begin, "--resume"]
    settings = study.settings(scale, variant) | {"seed": seed}
    return [*begin, *as_options(settings)]


def measure_speed(study: Study, scale: str, variants: Sequence[Variant]) -> None:
    """Write the seconds per optimizer step of each variant, interleaved, on a CPU on one
    core; nothing else should run. What is there already is kept."""
    path = study.folder(scale) / SPEED
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if study.device == "cpu":
        torch.set_num_threads(1)
    keep_freed_memory()
    text = study.data.read_text(encoding="utf-8")
    vocabulary = sorted(set(text))
    ids = torch.tensor([vocabulary.index(c) for c in text[:50_000]])
    learners = {}
    for variant in variants:
        config = build(study.settings(scale, variant))
        learners[variant.name] = Learner(variant.model, config, len(vocabulary), study.device)
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for turn in range(study.scaled(ROUNDS)):
        for name, learner in learners.items():
            config = learner.config
            size, context = config.train.batch, config.gpt.context
            batches = Batches(ids, size, context, config.train.accumulate, seed=1)
            limit = study.scaled(MILLISECONDS) * (2 if not turn else 1)  # the first warms up
            seconds[name].append(_seconds_per_step(learner, batches, limit / 1000))
    result = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    date = time.strftime("%Y-%m-%d")
    atomic.write_text(path, json.dumps({"seconds_per_step": result, "date": date}))


def read_speed(study: Study, scale: str) -> dict[str, float]:
    """Seconds per optimizer step, by variant; `DENSE_TIME` is `DENSE`, for more steps."""
    found = json.loads((study.folder(scale) / SPEED).read_text())["seconds_per_step"]
    return {DENSE_TIME.name: found[DENSE.name], **found}


def _seconds_per_step(learner: Learner, batches: Batches, limit: float) -> float:
    """Over steps that take about `limit` seconds together."""
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < limit:
        learner.train(batches(learner.progress.step), 0.3)
        steps += 1
    learner.read_clock()  # waits for a GPU
    return (time.perf_counter() - began) / steps


def result(run: Path) -> dict[str, object]:
    """What the end record of a run that is done says of its model."""
    end = last_end(run)
    assert end is not None
    (found,) = end.models.values()
    return dict(found)


def train(
    study: Study, scale: str, variant: Variant, seed: int, log: Path
) -> subprocess.Popen[bytes]:
    """Start the training of a cell; what it prints goes to `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command(study, scale, variant, seed, study.folder(scale)),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
