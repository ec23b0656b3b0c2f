"""The headless progress as values and text: a fold of records, which prints nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinygpt.config import RunConfig
from tinygpt.run import EvalRecord, Record, TrainRecord
from tinygpt.training.learner import Progress

QUIET_SECONDS = 30.0
"""A line at least this often, also between two evaluations."""


@dataclass(slots=True)
class Latest:
    """The newest numbers of one variant."""

    step: int = 0
    loss: float | None = None
    val_loss: float | None = None
    perplexity: float | None = None
    tokens_per_second: float | None = None


class Report:
    """Follows the records of one session."""

    def __init__(
        self,
        config: RunConfig,
        progress: Mapping[str, Progress],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`progress` is what the variants start from."""
        self.config = config
        self.latest = {name: Latest(step=known.step) for name, known in progress.items()}
        self._first = {name: known.step for name, known in progress.items()}
        self._spent = max(known.wall_seconds for known in progress.values())
        self._clock = clock
        self._began = clock()
        self._spoke = dict.fromkeys(progress, self._began)

    def add(self, record: Record) -> str | None:
        """Take a record in; the line that it is worth, if any."""
        if isinstance(record, TrainRecord):
            latest = self.latest[record.model]
            latest.step, latest.loss = record.step, record.loss
            latest.tokens_per_second = _smooth(latest.tokens_per_second, record.tokens_per_second)
            if self._clock() - self._spoke[record.model] >= QUIET_SECONDS:
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
        ends = []
        if self.config.minutes:
            ends.append(60 * self.config.minutes - self._spent - elapsed)
        taken = sum(v.step - self._first[name] for name, v in self.latest.items())
        if self.config.steps and taken:
            newest = max(v.step for v in self.latest.values())
            # One that stands still, on target or failed, takes no more.
            going = [
                v for v in self.latest.values() if newest - v.step <= self.config.train.log_every
            ]
            left = sum(max(0, self.config.steps - v.step) for v in going)
            ends.append(elapsed / taken * left)
        return max(0.0, min(ends)) if ends else None

    def _line(self, variant: str, numbers: str) -> str:
        self._spoke[variant] = self._clock()
        latest = self.latest[variant]
        total = f"/{self.config.steps:,}" if self.config.steps else ""
        speed = f"  {latest.tokens_per_second:,.0f} tok/s" if latest.tokens_per_second else ""
        left = self.seconds_left()
        until = "" if left is None else f"  {duration(left)} left"
        return f"{variant:<5} step {latest.step:,}{total}  {numbers}{speed}{until}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3:07 min, 2:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("validation loss", "val_loss", lambda x: f"{x:.4f}"),
    ("best validation loss", "best_val_loss", lambda x: f"{x:.4f}"),
    ("perplexity", "perplexity", lambda x: f"{x:.3f}"),
    ("steps", "step", lambda x: f"{x:,}"),
    ("tokens", "tokens", lambda x: f"{x:,}"),
    ("parameters", "params_total", lambda x: f"{x:,}"),
    ("active parameters", "params_active", lambda x: f"{x:,}"),
    ("training time", "train_seconds", duration),
    ("tokens a second", "tokens_per_second", lambda x: f"{x:,.0f}"),
)


def comparison(models: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The closing table as rows of text: a heading a variant, and the difference of the losses."""
    both = len(models) > 1
    rows = [["", *models, *(["moe - dense"] if both else [])]]
    for title, key, form in ROWS:
        values = [model.get(key) for model in models.values()]
        row = [title, *("-" if value is None else form(value) for value in values)]
        if both:
            comparable = key.endswith(("loss", "perplexity")) and None not in values
            row.append(f"{values[1] - values[0]:+.4f}" if comparable else "")  # type: ignore[operator]
        rows.append(row)
    return rows


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else 0.95 * old + 0.05 * new
