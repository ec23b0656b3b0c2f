"""Records to rows: what all trackers call a metric, and which steps are complete, valid and new."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tinygpt.run.layout import StrPath
from tinygpt.run.reader import MetricsReader
from tinygpt.run.records import (
    CheckpointRecord,
    EvalRecord,
    ModelRecord,
    Record,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    TrainRecord,
)
from tinygpt.tracking.protocol import Row


class VariantRow(NamedTuple):
    """A row, and the variant it is of."""

    variant: str
    row: Row


def resumes(path: StrPath) -> list[Mapping[str, int]]:
    """The steps from which a run was resumed, by variant, for each time so far. Reads all of its
    metrics. Raises RunError if they cannot be read."""
    items = MetricsReader(path).read_all()
    return [item.models for item in items if isinstance(item, ResumeRecord)]


class Rows:
    """Makes rows of a run's records, in their order.

    A row is complete when its variant records a later step; trackers take each step only once.
    `resumed` are the resumes that are known already, so that what they supersede is left out; what
    a later one supersedes was sent by then, and its repetition is left out. `sent` is the last step
    of each variant that is not wanted again.
    """

    def __init__(self, resumed: Sequence[Mapping[str, int]], sent: Mapping[str, int]) -> None:
        self.sent = dict(sent)
        self._pending: dict[str, Row] = {}
        self._valid: list[dict[str, float]] = [{}]
        """The last valid step by variant, after the last known resume, after the one before, …"""
        for models in reversed(resumed):
            later = self._valid[-1]
            steps = {v: min(step, later.get(v, math.inf)) for v, step in models.items()}
            self._valid.append(later | steps)

    def add(self, record: Record) -> Iterator[VariantRow]:
        """The rows that are complete with this record."""
        if isinstance(record, ResumeRecord):
            if len(self._valid) > 1:
                self._valid.pop()
            for variant, step in record.models.items():
                if variant in self._pending and self._pending[variant].step > step:
                    del self._pending[variant]
        if not isinstance(record, ModelRecord) or isinstance(record, CheckpointRecord):
            return
        variant, step = record.model, record.step
        if step <= self.sent.get(variant, -1) or step > self._valid[-1].get(variant, math.inf):
            return
        row = self._pending.get(variant)
        if row is not None and row.step < step:
            yield self._complete(variant)
        if row is None or row.step != step:
            self._pending[variant] = row = Row(step=step, time=record.time)
        row.scalars.update(scalars(record))
        if isinstance(record, SampleRecord):
            row.texts["sample"] = record.prompt + record.text

    def rest(self) -> Iterator[VariantRow]:
        """The last row of each variant, when no record will follow. If a run was killed, they are
        left out: once it is resumed, their step is recorded again, as a whole."""
        for variant in list(self._pending):
            yield self._complete(variant)

    def _complete(self, variant: str) -> VariantRow:
        row = self._pending.pop(variant)
        self.sent[variant] = row.step
        return VariantRow(variant, row)


def scalars(record: ModelRecord) -> dict[str, float]:
    """The numbers of a record by tag; losses in nats per token. Layers and experts count from 0."""
    match record:
        case TrainRecord():
            return {
                "train/loss": record.loss,
                "train/learning_rate": record.lr,
                "train/gradient_norm": record.grad_norm,
                "train/tokens_per_second": record.tokens_per_second,
                "train/tokens": record.tokens,
                "train/epoch": record.epoch,
            }
        case EvalRecord():
            values = {
                "val/loss": record.val_loss,
                "val/perplexity": record.perplexity,
                "val/bits_per_byte": record.bits_per_byte,
                "val/bits_per_char": record.bits_per_char,
                "val/best_loss": record.best_val_loss,
                "train/loss_at_eval": record.train_loss,
            }
            return {tag: value for tag, value in values.items() if value is not None}
        case RoutingRecord():
            return _routing(record)
    return {}


def _routing(record: RoutingRecord) -> dict[str, float]:
    layers = len(record.load)
    found = {
        "experts/load_entropy": sum(record.entropy) / layers,
        "experts/max_over_mean_load": max(record.worst_over_mean),
        "experts/top1_probability": sum(record.mean_top1) / layers,
        "experts/dead": float(sum(record.dead)),
    }
    for layer, (entropy, load) in enumerate(zip(record.entropy, record.load, strict=True)):
        found[f"load_entropy/layer_{layer}"] = entropy
        for expert, share in enumerate(load):
            found[f"expert_load/layer_{layer}/expert_{expert}"] = share
    return found
