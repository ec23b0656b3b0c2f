"""Folds the records of a training into its newest numbers and lines of progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tinygpt import formatting, smoothing
from tinygpt.config import RunConfig
from tinygpt.formatting import duration
from tinygpt.run import EvalRecord, Record, TrainRecord, pace

if TYPE_CHECKING:
    from tinygpt.training.progress import Progress

REMEMBERED = 4 * smoothing.SPAN
"""Train losses before a resume that its average goes on from: older ones have no weight."""
QUIET_SECONDS = 30.0
"""Seconds without an evaluation after which a variant prints a line of progress."""


@dataclass(slots=True)
class Latest:
    """The newest numbers of one variant."""

    step: int = 0
    train_loss: float | None = None
    """Its debiased exponential average, over `smoothing.SPAN` records."""
    val_loss: float | None = None
    perplexity: float | None = None
    tokens_per_second: float | None = None
    """Exponential moving average."""
    steps: deque[int] = field(default_factory=lambda: deque(maxlen=pace.WINDOW))
    """Of the latest train records."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=pace.WINDOW))
    """Training seconds up to each of them."""
    evaluations: deque[EvalRecord] = field(default_factory=lambda: deque(maxlen=3))
    """The latest ones."""
    _average: smoothing.Ema = field(default_factory=lambda: smoothing.Ema(smoothing.SPAN))

    def go_on_from(self, losses: Sequence[float]) -> None:
        """Let the average of the train loss go on from these, of an earlier session."""
        self._average.extend(np.array(losses))

    def add(self, record: TrainRecord) -> None:
        """Take the numbers of a training step."""
        self.step = record.step
        self.train_loss = float(self._average.extend(np.array([record.loss]))[0])
        self.steps.append(record.step)
        self.seconds.append(record.train_seconds)
        self.tokens_per_second = _smooth(self.tokens_per_second, record.tokens_per_second)


class ProgressTracker:
    """Follows the records of one session.

    `progress` is where each variant starts, `losses` are the train losses up to there that the
    average goes on from.
    """

    def __init__(
        self,
        config: RunConfig,
        progress: Mapping[str, Progress],
        losses: Mapping[str, Sequence[float]] = MappingProxyType({}),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.latest = {name: Latest(step=known.step) for name, known in progress.items()}
        for name, known in losses.items():
            self.latest[name].go_on_from(known)
        self._first = {name: known.step for name, known in progress.items()}
        self._wall_before = max(known.wall_seconds for known in progress.values())
        self._clock = clock
        self._began = clock()
        self._last_line = dict.fromkeys(progress, self._began)

    def add(self, record: Record) -> str | None:
        """Add a record; returns a line of progress if one is due."""
        if isinstance(record, TrainRecord):
            latest = self.latest[record.model]
            latest.add(record)
            if self._clock() - self._last_line[record.model] >= QUIET_SECONDS:
                return self._line(record.model, _train_loss(latest))
        elif isinstance(record, EvalRecord):
            latest = self.latest[record.model]
            latest.val_loss, latest.perplexity = record.val_loss, record.perplexity
            latest.evaluations.append(record)
            return self._line(
                record.model,
                f"val {record.val_loss:.4f}  ppl {record.perplexity:.2f}  "
                f"bpc {record.bits_per_char:.3f}  {_train_loss(latest)}  "
                f"train-eval {record.train_loss:.4f}",
            )
        return None

    def seconds_left(self) -> float | None:
        """Until the planned end, at the speed of the latest steps; None before that is known."""
        ends = []
        if self.config.minutes:
            elapsed = self._clock() - self._began
            ends.append(60 * self.config.minutes - self._wall_before - elapsed)
        if self.config.steps:
            by_steps = self._seconds_of_steps(self.config.steps)
            if by_steps is None:
                return None
            ends.append(by_steps)
        return max(0.0, min(ends)) if ends else None

    def _seconds_of_steps(self, planned: int) -> float | None:
        newest = max(v.step for v in self.latest.values())
        # A variant that fell behind has reached its target or failed: it takes no more steps.
        active = {
            name: v
            for name, v in self.latest.items()
            if newest - v.step <= self.config.train.log_every
        }
        paces = [
            pace.Pace(v.step, pace.step_seconds(v.steps, v.seconds, self._first[name]))
            for name, v in active.items()
        ]
        evaluations = {name: list(v.evaluations) for name, v in active.items()}
        return pace.seconds_left(planned, paces, pace.overhead(evaluations))

    def _line(self, variant: str, numbers: str) -> str:
        self._last_line[variant] = self._clock()
        latest = self.latest[variant]
        total = f"/{self.config.steps:,}" if self.config.steps else ""
        speed = f"  {latest.tokens_per_second:,.0f} tok/s" if latest.tokens_per_second else ""
        left = self.seconds_left()
        until = "" if left is None else f"  {duration(left)} left"
        return f"{variant:<5} step {latest.step:,}{total}  {numbers}{speed}{until}"


def _train_loss(latest: Latest) -> str:
    """The average of the batch losses; the loss that an evaluation measures over windows of the
    training split is called train-eval."""
    return f"{smoothing.name(smoothing.SPAN)} {formatting.loss(latest.train_loss)}"


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else 0.95 * old + 0.05 * new
