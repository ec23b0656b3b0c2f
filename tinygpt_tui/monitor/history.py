"""The history of a run, built up from its records, without files or widgets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygpt.overfitting import Overfitting, overfitting
from tinygpt.run import (
    CheckpointRecord,
    EndRecord,
    EvalRecord,
    Item,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    StartRecord,
    TrainColumns,
    TrainRecord,
)
from tinygpt.run.columns import Floats
from tinygpt.smoothing import Ema


class Column:
    """A growing array of numbers; the last ones can be removed."""

    def __init__(self) -> None:
        self._data = np.empty(1024)
        self._size = 0

    def extend(self, values: Floats) -> None:
        """Add values at the end."""
        size = self._size + len(values)
        if size > len(self._data):
            self._data = np.resize(self._data, max(size, 2 * len(self._data)))
        self._data[self._size : size] = values
        self._size = size

    def cut(self, size: int) -> None:
        """Keep the first `size` values."""
        self._size = size

    @property
    def values(self) -> Floats:
        """All values, as a view that the next `extend` may invalidate."""
        return self._data[: self._size]


class Averages:
    """The exponential averages of growing columns: each value is averaged once, until another span
    is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Ema, Column]] = {}

    def of(self, name: str, values: Floats, span: int) -> Floats:
        """The average after each of the values so far, of the column called `name`."""
        if self._known.get(name, (0,))[0] != span:
            self._known[name] = span, Ema(span), Column()
        _, ema, averages = self._known[name]
        averages.extend(ema.extend(values[len(averages.values) :]))
        return averages.values

    def clear(self) -> None:
        """Forget all: columns have been cut."""
        self._known.clear()


@dataclass
class VariantHistory:
    """One variant: its train curve in columns, all evaluations, and the latest of the rest."""

    step: Column = field(default_factory=Column)
    loss: Column = field(default_factory=Column)
    lr: Column = field(default_factory=Column)
    grad_norm: Column = field(default_factory=Column)
    speed: Column = field(default_factory=Column)
    """Tokens per second of each step."""
    seconds: Column = field(default_factory=Column)
    """Training seconds of this variant at each step."""
    evaluations: list[EvalRecord] = field(default_factory=list)
    whole: EvalRecord | None = None
    """At the end of a run whose evaluations were of a sample: the latest one, with the losses over
    the whole validation split."""
    routings: list[RoutingRecord] = field(default_factory=list)
    """Expert load over training: one record per evaluation, in order of steps."""
    sample: SampleRecord | None = None
    checkpoint: CheckpointRecord | None = None
    last: TrainRecord | None = None
    tokens_per_second: float | None = None
    """Over the latest records."""
    session_start: int = 0
    """The step from which the current session trains: 0, or that of the latest resume."""
    _averages: Averages = field(default_factory=Averages)

    def average(self, name: str, span: int) -> Floats:
        """The debiased exponential average of the column called `name`, after each record; the
        column itself for a span of 1."""
        values: Floats = getattr(self, name).values
        return values if span == 1 else self._averages.of(name, values, span)

    def add(self, train: TrainColumns) -> None:
        """Extend the train curve."""
        self.step.extend(train.step)
        self.loss.extend(train.loss)
        self.lr.extend(train.lr)
        self.grad_norm.extend(train.grad_norm)
        self.speed.extend(train.tokens_per_second)
        self.seconds.extend(train.train_seconds)
        self.last = train.last
        self._measure_speed()

    def add_routing(self, record: RoutingRecord) -> None:
        """Add expert load; a different shape means another model, so the load so far is dropped."""
        shape = len(record.load), len(record.load[0])
        if self.routings and (len(self.routings[0].load), len(self.routings[0].load[0])) != shape:
            self.routings = []
        self.routings.append(record)

    def add_end(self, numbers: Mapping[str, Any]) -> None:
        """Take the final losses from the summary of an end record, if they are over the whole
        validation split and the evaluations are not."""
        last = self.evaluations[-1] if self.evaluations else None
        val_loss, best = numbers.get("val_loss"), numbers.get("best_val_loss")
        if last is None or last.val_tokens is None or numbers.get("val_loss_over") != "whole split":
            return
        if isinstance(val_loss, float):
            self.whole = replace(
                last,
                val_loss=val_loss,
                perplexity=math.exp(min(val_loss, 700.0)),
                bits_per_char=_scaled(last.bits_per_char, val_loss, last.val_loss),
                bits_per_byte=val_loss * self.bits_per_byte,
                best_val_loss=best if isinstance(best, float) else math.nan,
                val_tokens=None,
            )

    def rewind(self, step: int) -> None:
        """Drop everything after `step`: a resumed run trains those steps again."""
        self.whole, self.session_start = None, step
        size = int(np.searchsorted(self.step.values, step, side="right"))
        for column in (
            *(self.step, self.loss, self.lr),
            *(self.grad_norm, self.speed, self.seconds),
        ):
            column.cut(size)
        self._averages.clear()
        self.evaluations = [r for r in self.evaluations if r.step <= step]
        self.routings = [r for r in self.routings if r.step <= step]
        if self.sample and self.sample.step > step:
            self.sample = None

    @property
    def evaluated(self) -> EvalRecord | None:
        """The latest evaluation, over the whole validation split if that is known."""
        return self.whole or (self.evaluations[-1] if self.evaluations else None)

    @property
    def bits_per_byte(self) -> float:
        """The factor from nats per token to bits per byte; of runs that do not record it, as if
        each token was one byte, as a character usually is."""
        last = self.evaluations[-1] if self.evaluations else None
        if last and last.bits_per_byte and last.val_loss:
            factor = last.bits_per_byte / last.val_loss
            return factor if 0 < factor < math.inf else 1 / math.log(2)
        return 1 / math.log(2)

    @property
    def overfitting(self) -> Overfitting | None:
        """Since when it is overfitting, if it is."""
        return overfitting(self.evaluations)

    @property
    def routing(self) -> RoutingRecord | None:
        """The latest expert load."""
        return self.routings[-1] if self.routings else None

    @property
    def seconds_since_evaluation(self) -> float:
        """Training seconds since the latest evaluation."""
        seconds = self.seconds.values
        before = self.evaluated.train_seconds if self.evaluated else 0.0
        return max(0.0, float(seconds[-1]) - before) if len(seconds) else 0.0

    def _measure_speed(self) -> None:
        """Measure over the latest 50 records, since single steps are noisy."""
        steps, seconds = self.step.values[-50:], self.seconds.values[-50:]
        if self.last is None or not self.last.step or len(steps) < 2:
            return
        took = float(seconds[-1] - seconds[0])
        if took > 0:
            per_step = self.last.tokens / self.last.step
            self.tokens_per_second = float(steps[-1] - steps[0]) * per_step / took


class History:
    """The state of a run according to its records. `version` grows with every change."""

    def __init__(self) -> None:
        self.version = 0
        self.start: StartRecord | None = None
        self.end: EndRecord | None = None
        self.processes = 1
        """How many train in the current session."""
        self.variants: dict[str, VariantHistory] = {}

    def add(self, items: Iterable[Item]) -> None:
        """Add records in the order they were read."""
        for item in items:
            self._add(item)
            self.version += 1

    def _add(self, item: Item) -> None:
        match item:
            case StartRecord():
                self.start = item
                self.processes = item.processes or 1
                self.variants = {name: VariantHistory() for name in item.models}
            case EndRecord():
                self._add_end(item)
            case ResumeRecord():
                self.end = None
                self.processes = item.processes or 1
                for name, step in item.models.items():
                    self._variant(name).rewind(step)
            case TrainColumns():
                self._variant(item.model).add(item)
            case EvalRecord():
                self._variant(item.model).evaluations.append(item)
            case SampleRecord():
                self._variant(item.model).sample = item
            case RoutingRecord():
                self._variant(item.model).add_routing(item)
            case CheckpointRecord():
                self._variant(item.model).checkpoint = item
            case _:
                pass  # single train records: bulk reads group them into columns

    def _add_end(self, record: EndRecord) -> None:
        self.end = record
        for name, numbers in record.models.items():
            if name in self.variants:
                self.variants[name].add_end(numbers)

    def _variant(self, name: str) -> VariantHistory:
        return self.variants.setdefault(name, VariantHistory())

    @property
    def wall_seconds(self) -> float:
        """Wall time so far, without pauses: up to the latest evaluation, plus training since."""
        known = [v.evaluated.wall_seconds for v in self.variants.values() if v.evaluated]
        return max(known, default=0.0) + sum(
            v.seconds_since_evaluation for v in self.variants.values()
        )

    @property
    def step(self) -> int:
        """The latest step of any variant."""
        return max((v.last.step for v in self.variants.values() if v.last), default=0)


def _scaled(known: float, loss: float, last: float) -> float:
    """What was `known` of the loss `last`, of another loss over tokens like its own."""
    return known * loss / last if last else loss / math.log(2)
