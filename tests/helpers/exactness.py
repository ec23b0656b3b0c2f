"""What must be identical in two runs of the same configuration: records and weights, not times."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from tinygpt import checkpoint
from tinygpt.run import (
    EndRecord,
    EvalRecord,
    MetricsReader,
    Record,
    RoutingRecord,
    SampleRecord,
    TrainRecord,
    checkpoint_dir,
    drop_rewound,
    list_steps,
)

CLOCKS = {"time": 0.0, "tokens_per_second": 0.0, "train_seconds": 0.0, "wall_seconds": 0.0}
"""Fields that differ between any two runs."""


def records(run: Path) -> list[Record]:
    """The records of a run, without those superseded by a resume."""
    return drop_rewound(MetricsReader(run).read())


def exact(run: Path) -> list[Record]:
    """The records that have to be identical, with times set to zero, in order for each model.

    They are sorted by model, since after a resume one model may have to catch up with the other.
    """
    result: list[Record] = []
    for record in records(run):
        if isinstance(record, TrainRecord | EvalRecord | SampleRecord | RoutingRecord):
            known = {field.name for field in dataclasses.fields(record)}
            changes: dict[str, Any] = {k: v for k, v in CLOCKS.items() if k in known}
            result.append(dataclasses.replace(record, **changes))
    return sorted(result, key=lambda record: getattr(record, "model", ""))


def only_end(run: Path) -> EndRecord:
    """The record of a run's end."""
    (end,) = [record for record in records(run) if isinstance(record, EndRecord)]
    return end


def same_end(run: Path, other: Path, step: int) -> None:
    """Assert that the checkpoints of a step are identical, training state included."""
    for variant in ("dense", "moe"):
        if list_steps(other, variant):
            a, b = (checkpoint.restore(checkpoint_dir(r, variant, step)) for r in (run, other))
            assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)
            assert all(torch.equal(a.training[k], b.training[k]) for k in a.training)
            assert a.training.keys() == b.training.keys()


def weights(run: Path) -> dict[str, str]:
    """The sha256 of every file in the checkpoints; meta.json without its times."""
    found = {}
    for file in sorted(run.glob("*/step-*/*")):
        data = file.read_bytes()
        if file.suffix == ".json":
            meta = json.loads(data)
            meta["progress"].update(
                dict.fromkeys(("train_seconds", "wall_seconds", "seconds_to_target"))
            )
            data = json.dumps(meta).encode()
        found[str(file.relative_to(run))] = hashlib.sha256(data).hexdigest()
    return found
