"""Made-up histories and run directories for tests of the interface."""

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from tests.helpers.records import evaluated, sample, started, train
from tinygpt.run import (
    VARIANTS,
    EndRecord,
    EvalRecord,
    Item,
    Record,
    RoutingRecord,
    RunWriter,
)
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History

LOAD = [[0.31, 0.25, 0.24, 0.2], [0.5, 0.26, 0.24, 0.0]]


def wave(step: int) -> float:
    """Deterministic noise."""
    return 0.15 * math.sin(step * 12.9898) * math.cos(step * 4.1414)


def loss_at(model: str, step: int) -> float:
    """A curve like that of a loss; MoE's is slightly lower."""
    return 1.45 + 2.7 * math.exp(-step / 9) + (0.1 if model == "dense" else 0.05)


def routed(step: int) -> RoutingRecord:
    return RoutingRecord(
        time=10.0 + step,
        model="moe",
        step=step,
        tokens=77 * step,
        load=LOAD,
        entropy=[1.3, 1.0],
        worst_over_mean=[1.24, 2.0],
        mean_top1=[0.5, 0.6],
        dead=[0, 1],
    )


def ended(state: str = "done") -> EndRecord:
    return EndRecord(
        time=200.0,
        state=state,  # type: ignore[arg-type]
        reason="all 100 steps are taken",
        models={},
    )


def records(last: int = 100, *, end: bool = False, nan_at: int | None = None) -> list[Record]:
    """A run of both variants up to step `last`, evaluated every tenth step."""
    found: list[Record] = [started()]
    for step in range(1, last + 1):
        for model in ("dense", "moe"):
            loss = loss_at(model, step) + wave(step)
            found.append(train(model, step, math.nan if step == nan_at else loss))
            if step % 10 == 0:
                found += [evaluated(model, step, loss_at(model, step) + 0.1), sample(model, step)]
        if step % 10 == 0:
            found.append(routed(step))
    return [*found, *([ended()] if end else [])]


def history(last: int = 100, *, end: bool = False, nan_at: int | None = None) -> History:
    """The history of these records."""
    made = History()
    items: list[Item] = group(records(last, end=end, nan_at=nan_at))
    made.add(items)
    return made


def overfit_history(
    last: int = 100, *, best: int = 30, variants: Collection[str] = VARIANTS, end: bool = False
) -> History:
    """Like `history`, but the validation losses of some variants rise after step `best`."""

    def risen(record: Record) -> Record:
        if not isinstance(record, EvalRecord) or record.model not in variants:
            return record
        lowest, steps = loss_at(record.model, best) + 0.1, record.step - best
        if steps <= 0:
            return record
        loss = lowest + 0.01 * steps
        return replace(record, val_loss=loss, best_val_loss=lowest, best_step=best)

    made = History()
    made.add(group([risen(record) for record in records(last, end=end)]))
    return made


def make_run(out: Path, name: str, found: list[Record] | None = None) -> RunWriter:
    """A run directory with these records; "running" in this process until it is closed."""
    config = {"steps": 100, "preset": "nano", "corpus": {"name": "tinyshakespeare"}}
    writer = RunWriter.create(out / name, config, "{}")
    for record in records(30) if found is None else found:
        writer.append(record)
    writer.status("running", 30)
    return writer
