"""How long training takes here: what runs of the same shape took per step, by their own records.

Nothing is modelled: without such a run, the time is unknown until the training has measured it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tinygpt.config import RunConfig, build, flatten, from_tables
from tinygpt.errors import TinyGPTError
from tinygpt.run import (
    METRICS,
    EvalRecord,
    ResumeRecord,
    StartRecord,
    TrainRecord,
    list_runs,
    pace,
    read_config,
    read_status,
)
from tinygpt.run.presence import this_host
from tinygpt.run.reader import first_record
from tinygpt.run.tail import has_kind, lines_backwards, parsed
from tinygpt_tui.launch.cost import likely_device
from tinygpt_tui.launch.trainer_process import spare_threads

_EVALUATIONS = 3

Shape: TypeAlias = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """What one step of a run took on this machine, all variants and the evaluations included."""

    name: str
    shape: Shape
    step_seconds: float
    """Wall seconds."""

    def seconds(self, config: RunConfig) -> float | None:
        """Wall seconds that `config`, which is of the same shape, takes; None if no steps and no
        minutes end it."""
        ends = [
            60 * config.minutes if config.minutes is not None else None,
            self.step_seconds * config.steps if config.steps is not None else None,
        ]
        return min((end for end in ends if end is not None), default=None)


def find(config: RunConfig, runs: Iterable[MeasuredRun], processes: int) -> MeasuredRun | None:
    """The first of these runs that has the shape of `config` in as many processes."""
    threads = config.train.threads or spare_threads()
    wanted = shape(config, likely_device(config.device), threads, processes)
    return next((run for run in runs if run.shape == wanted), None)


def measured_runs(out: Path) -> list[MeasuredRun]:
    """The latest run of each shape in the folder `out` that was trained on this machine, finished
    or not, whose records show its speed. Reads files: a network disk may be slow."""
    found: dict[Shape, MeasuredRun] = {}
    try:
        runs = list_runs(out)
    except TinyGPTError:  # the screen of all runs reports it
        return []
    for run in runs:
        start = first_record(run.path)
        known = _shape_of(run.path, start) if start else None
        if start and known and known not in found:
            seconds = measured_step_seconds(run.path, start)
            if seconds is not None:
                found[known] = MeasuredRun(run.name, known, seconds)
    return list(found.values())


def shape(config: RunConfig, device: str, threads: int, processes: int) -> Shape:
    """The settings that determine how long a step takes; `device` is a type or one device.

    Tied embeddings are not among them: the matmuls are the same, and a configuration without a
    vocabulary does not know yet whether it has them.
    """
    groups = ("gpt.", "moe.", "train.batch", "train.accumulate", "train.eval", "train.sample_t")
    names = (
        "model",
        "tokenizer",
        "vocab_size",
        "optim.optimizer",
        "train.precision",
        "train.compile",
        "train.recompute",
    )
    flat = flatten(config)
    flat.pop("gpt.tie_embeddings", None)
    kept = {n: v for n, v in flat.items() if n.startswith(groups) or n in names}
    kept |= {"train.cuda_graph": config.train.cuda_graph, "train.threads": threads}
    kept |= {"device": device.partition(":")[0], "processes": processes}
    return tuple(sorted(kept.items()))


def _shape_of(run: Path, start: StartRecord) -> Shape | None:
    """The shape of a run that was trained on this machine; None if that is not known."""
    try:
        status = read_status(run)
        config = build(from_tables(read_config(run)), preset_applies=False)
    except TinyGPTError:  # written by a later version, or edited by hand
        return None
    if status is None or status.host != this_host():
        return None
    # Of "cuda:1 (NVIDIA H100, bf16)", or "3 processes, each on cuda:1 (NVIDIA H100, bf16)".
    device = start.device.rpartition(" each on ")[2].partition(" ")[0]
    return shape(config, device, config.train.threads, start.processes or 1)


@dataclass
class _Tail:
    """The latest records of one variant, in order of steps."""

    steps: deque[float] = field(default_factory=lambda: deque(maxlen=pace.WINDOW))
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=pace.WINDOW))
    evaluations: deque[EvalRecord] = field(default_factory=lambda: deque(maxlen=_EVALUATIONS))
    first: int = 0

    @property
    def full(self) -> bool:
        return len(self.steps) == pace.WINDOW and len(self.evaluations) == _EVALUATIONS


def measured_step_seconds(run: Path, start: StartRecord) -> float | None:
    """Wall seconds per step of all variants together; None if the records do not tell."""
    tails = {variant: _Tail() for variant in start.models}
    try:
        size = (run / METRICS).stat().st_size
        for line in lines_backwards(run / METRICS, size):
            if not _add(tails, line) or all(tail.full for tail in tails.values()):
                break
    except OSError:
        return None
    each = [pace.step_seconds(t.steps, t.seconds, t.first) for t in tails.values()]
    known = [seconds for seconds in each if seconds is not None]
    if not known or len(known) < len(each):
        return None
    return sum(known) + pace.overhead({v: list(t.evaluations) for v, t in tails.items()})


def _add(tails: dict[str, _Tail], line: bytes) -> bool:
    """Add a line, the latest first; False at the beginning of the session."""
    record = parsed(line) if has_kind(line, "train", "eval", "resume") else None
    if isinstance(record, ResumeRecord):
        for variant, step in record.models.items():
            tails.setdefault(variant, _Tail()).first = step
        return False
    if isinstance(record, TrainRecord | EvalRecord):
        tail = tails.setdefault(record.model, _Tail())
        if isinstance(record, EvalRecord) and len(tail.evaluations) < _EVALUATIONS:
            tail.evaluations.appendleft(record)
        if isinstance(record, TrainRecord) and len(tail.steps) < pace.WINDOW:
            tail.steps.appendleft(record.step)
            tail.seconds.appendleft(record.train_seconds)
    return True
