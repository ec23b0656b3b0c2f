"""The files of a run directory: one record of every kind in metrics.jsonl, and a status."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

from tests.helpers.records import started, train
from tinygpt.run import (
    METRICS,
    CheckpointRecord,
    EndRecord,
    EndState,
    EvalRecord,
    Record,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    Status,
    to_json,
)
from tinygpt.run.presence import process_start, this_host

NOW = 1_763_931_234.5
CONFIG = {"seed": 7, "corpus": {"name": "tinyshakespeare", "sha256": "86c4"}}
START = started(steps=None)


def end(state: EndState = "done", time: float = NOW) -> EndRecord:
    models = {"dense": {"step": 5, "tokens": 85, "val_loss": math.inf, "best": [1.5, -math.inf]}}
    return EndRecord(time=time, state=state, reason="5 steps", models=models)


RECORDS: list[Record] = [
    START,
    train("dense", 1),
    EvalRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        epoch=0.5,
        val_loss=2.5,
        train_loss=2.25,
        perplexity=12.18,
        bits_per_char=3.6,
        best_val_loss=2.5,
        best_step=5,
        train_seconds=1.0,
        wall_seconds=2.0,
        context=13,
    ),
    SampleRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        prompt="NaN",
        seed=3,
        text="\nÀ \u2028\ud800 Infinity",
    ),
    RoutingRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        load=[[0.25, 0.75], [1.0, 0.0]],
        entropy=[0.56, 0.0],
        worst_over_mean=[1.5, 2.0],
        mean_top1=[0.6, 0.9],
        dead=[0, 1],
    ),
    CheckpointRecord(
        time=NOW, model="dense", step=5, tokens=85, path="dense/step-00000005", val_loss=None
    ),
    ResumeRecord(time=NOW, step=3, models={"dense": 3, "moe": 2}, note="after a crash"),
    end(),
]
"""One of each kind."""


def lines(*records: Record) -> bytes:
    return b"".join(to_json(record).encode() + b"\n" for record in records)


def metrics_of(path: Path) -> Path:
    """Create a run directory with this metrics.jsonl; returns the path of the file."""
    path.mkdir(exist_ok=True)
    return path / METRICS


def status(**changes: Any) -> Status:
    """The status of a process that has ended."""
    own = Status(
        state="running", pid=7, host=this_host(), process_started=1.0, step=5, heartbeat=NOW
    )
    return dataclasses.replace(own, **changes)


def own_status(**changes: Any) -> Status:
    """The status of a run that this process trains."""
    own = {"pid": os.getpid(), "process_started": process_start(os.getpid())}
    return status(**own | changes)
