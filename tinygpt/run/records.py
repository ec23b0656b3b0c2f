"""The records of metrics.jsonl: one strict JSON object per line, with `kind` and `time` first.

Losses are in nats per token, `time` in unix seconds, `step` in optimizer steps, `tokens` in
training tokens so far. `model` is the variant, "dense" or "moe".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

SCHEMA_VERSION = 1
"""Version of the format. Raised only if old readers would misread a new file, not for new keys."""

Variant: TypeAlias = str
"""Name of a model variant: "dense" or "moe"."""

Time: TypeAlias = float
"""Unix seconds, from 1970 to 9999."""

EndState: TypeAlias = Literal["done", "stopped", "failed"]
Mappings: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """First line of a run: what is trained, on which corpus and device.

    `corpus` holds name, sha256 and chars; `models` maps a variant to its params_total and
    params_active; `steps` is the number planned, None if only a time limit or a target loss ends
    the run; `context` and `batch_tokens` in tokens. `val_tokens` is the size of the sample of the
    validation split that is evaluated during training, None if that is the whole split;
    `tokenizer` holds kind and vocab_size; `processes` is how many train together, None for one.
    """

    kind: ClassVar[str] = "start"
    time: Time
    schema_version: int = SCHEMA_VERSION
    run: str
    corpus: Mapping[str, Any]
    models: Mappings
    device: str
    versions: Mapping[str, Any]
    steps: int | None = None
    context: int
    batch_tokens: int
    val_tokens: int | None = None
    tokenizer: Mapping[str, Any] | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecord:
    """One training step of one model; `train_seconds` excludes evaluation and sampling."""

    kind: ClassVar[str] = "train"
    time: Time
    model: Variant
    step: int
    tokens: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    tokens_per_second: float
    train_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """One evaluation with windows of `context` tokens; `wall_seconds` leaves out only pauses.

    `val_tokens` is the size in tokens of the sample that `val_loss` is the mean over, None if that
    is the whole validation split. `bits_per_char`, `bits_per_byte` and `nats_per_char` are
    `val_loss` in other units, which compare between tokenizers.
    """

    kind: ClassVar[str] = "eval"
    time: Time
    model: Variant
    step: int
    tokens: int
    epoch: float
    val_loss: float
    train_loss: float
    perplexity: float
    bits_per_char: float
    best_val_loss: float
    best_step: int
    train_seconds: float
    wall_seconds: float
    context: int
    val_tokens: int | None = None
    bits_per_byte: float | None = None
    nats_per_char: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """A continuation of `prompt`; `text` excludes the prompt."""

    kind: ClassVar[str] = "sample"
    time: Time
    model: Variant
    step: int
    tokens: int
    prompt: str
    seed: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRecord:
    """Expert load per layer: `load[layer][expert]` is a share of the tokens.

    The other lists have one number per layer: `entropy` of the load in nats, `worst_over_mean` the
    largest load over the mean load, `mean_top1` the mean probability of the selected expert, `dead`
    the number of experts without tokens.
    """

    kind: ClassVar[str] = "routing"
    time: Time
    model: Variant
    step: int
    tokens: int
    load: list[list[float]]
    entropy: list[float]
    worst_over_mean: list[float]
    mean_top1: list[float]
    dead: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """A checkpoint that is complete on disk; `path` is relative to the run directory."""

    kind: ClassVar[str] = "checkpoint"
    time: Time
    model: Variant
    step: int
    tokens: int
    path: str
    val_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRecord:
    """Training was resumed; `models` maps each variant to the step it resumed from.

    It supersedes earlier records: see `drop_rewound`. `ends` holds the new limits of the run:
    steps, minutes, target_loss and patience, those that are set. `data` is where the corpus was
    found, if not where it was before. `warm_from` maps each variant whose learning rate warms up
    once more, because the end of the run was moved, to the step from which it does. `processes` is
    how many train together, None for one.
    """

    kind: ClassVar[str] = "resume"
    time: Time
    step: int
    models: Mapping[str, int]
    note: str | None = None
    ends: Mapping[str, Any] | None = None
    data: str | None = None
    warm_from: Mapping[str, int] | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRecord:
    """Last line of a session; `models` maps a variant to its step, tokens and a free-form summary.

    In `models`, the strings "NaN", "Infinity" and "-Infinity" are read back as floats.
    """

    kind: ClassVar[str] = "end"
    time: Time
    state: EndState
    reason: str
    error: str | None = None
    models: Mappings


ModelRecord: TypeAlias = TrainRecord | EvalRecord | SampleRecord | RoutingRecord | CheckpointRecord
Record: TypeAlias = StartRecord | ModelRecord | ResumeRecord | EndRecord


def drop_rewound(records: Iterable[Record]) -> list[Record]:
    """The records without those superseded by a later `resume`, in order.

    A `resume` with `models[m] == s` supersedes every earlier record of model `m` with step > `s`,
    because the resumed training writes these steps again. Records of variants that it does not
    name, and records without a model (start, resume, end), stay.
    """
    kept: list[Record] = []
    last_valid: dict[str, float] = {}
    for record in reversed(list(records)):
        if isinstance(record, ResumeRecord):
            for model, step in record.models.items():
                last_valid[model] = min(step, last_valid.get(model, math.inf))
        if isinstance(record, StartRecord | ResumeRecord | EndRecord) or (
            record.step <= last_valid.get(record.model, math.inf)
        ):
            kept.append(record)
    kept.reverse()
    return kept
