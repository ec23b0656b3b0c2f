"""Folds the records of a training into its newest numbers and lines of progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinygpt.config import RunConfig
from tinygpt.formatting import duration
from tinygpt.run import EvalRecord, Record, TrainRecord

if TYPE_CHECKING:
    from tinygpt.training.learner import Progress

QUIET_SECONDS = 30.0
"""Seconds without an evaluation after which a variant prints a line of progress."""


@dataclass(slots=True)
class Latest:
    """The newest numbers of one variant."""

    step: int = 0
    loss: float | None = None
    val_loss: float | None = None
    perplexity: float | None = None
    tokens_per_second: float | None = None
    """Exponential moving average."""


class ProgressTracker:
    """Follows the records of one session; `progress` is where each variant starts."""

    def __init__(
        self,
        config: RunConfig,
        progress: Mapping[str, Progress],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.latest = {name: Latest(step=known.step) for name, known in progress.items()}
        self._first = {name: known.step for name, known in progress.items()}
        self._wall_before = max(known.wall_seconds for known in progress.values())
        self._clock = clock
        self._began = clock()
        self._last_line = dict.fromkeys(progress, self._began)

    def add(self, record: Record) -> str | None:
        """Add a record; returns a line of progress if one is due."""
        if isinstance(record, TrainRecord):
            latest = self.latest[record.model]
            latest.step, latest.loss = record.step, record.loss
            latest.tokens_per_second = _smooth(latest.tokens_per_second, record.tokens_per_second)
            if self._clock() - self._last_line[record.model] >= QUIET_SECONDS:
                return self._line(record.model, f"loss {record.loss:.4f}")
        elif isinstance(record, EvalRecord):
            latest = self.latest[record.model]
            latest.val_loss, latest.perplexity = record.val_loss, record.perplexity
            return self._line(
                record.model,
                f"val {record.val_loss:.4f}  ppl {record.perplexity:.2f}  "
                f"bpc {record.bits_per_char:.3f}  train {record.train_loss:.4f}",
            )
        return None

    def seconds_left(self) -> float | None:
        """Until the planned end, at the pace so far; None before there is a pace."""
        elapsed = self._clock() - self._began
        estimates = []
        if self.config.minutes:
            estimates.append(60 * self.config.minutes - self._wall_before - elapsed)
        taken = sum(v.step - self._first[name] for name, v in self.latest.items())
        if self.config.steps and taken:
            newest = max(v.step for v in self.latest.values())
            # A variant that fell behind has reached its target or failed: it takes no more steps.
            active = [
                v for v in self.latest.values() if newest - v.step <= self.config.train.log_every
            ]
            left = sum(max(0, self.config.steps - v.step) for v in active)
            estimates.append(elapsed / taken * left)
        return max(0.0, min(estimates)) if estimates else None

    def _line(self, variant: str, numbers: str) -> str:
        self._last_line[variant] = self._clock()
        latest = self.latest[variant]
        total = f"/{self.config.steps:,}" if self.config.steps else ""
        speed = f"  {latest.tokens_per_second:,.0f} tok/s" if latest.tokens_per_second else ""
        left = self.seconds_left()
        until = "" if left is None else f"  {duration(left)} left"
        return f"{variant:<5} step {latest.step:,}{total}  {numbers}{speed}{until}"


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else 0.95 * old + 0.05 * new
