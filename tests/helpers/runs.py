"""Run directories in every state, written by the real writer."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinygpt.config import build, flatten, unflatten
from tinygpt.run import (
    EndRecord,
    EvalRecord,
    RunWriter,
    StartRecord,
    checkpoint_dir,
    read_state,
    read_status,
)
from tinygpt.run.status import write_status


def make_run(
    out: Path,
    name: str,
    values: dict[str, object],
    state: str,
    *,
    step: int = 500,
    wall: float = 50.0,
    losses: Sequence[float] = (1.625, 1.5),
    ago: float = 0.0,
    group: str | None = None,
) -> Path:
    """A run directory in `state`; the trainer of a live one is this process, in an older version,
    which had no lock for viewers."""
    config, now = build(values), time.time() - ago
    tables = {**unflatten(flatten(config)), "corpus": {"name": "corpus.txt", "sha256": "ab"}}
    if group is not None:
        tables["group"] = group
    counts = {v: config.model_config(v, 65).parameters() for v in config.variants}
    models = {v: {"params_total": t, "params_active": a} for v, (t, a) in counts.items()}
    best = dict(zip(config.variants, losses, strict=False))
    with RunWriter.create(out / name, tables, "{}", clock=lambda: now) as writer:
        writer.append(
            StartRecord(
                time=now,
                run=name,
                corpus={"name": "corpus.txt"},
                models=models,
                device="cpu (1 thread)",
                versions={},
                steps=config.steps,
                context=config.gpt.context,
                batch_tokens=config.batch_tokens,
            )
        )
        for variant, loss in best.items():
            writer.append(evaluation(variant, step, loss, wall))
            checkpoint_dir(out / name, variant, step).mkdir(parents=True)
        if state in ("done", "stopped"):
            ends = {v: {"step": step, "wall_seconds": wall, "best_val_loss": best[v]} for v in best}
            end = EndRecord(time=now, state="done", reason="over", models=ends)
            writer.append(replace(end, state="done" if state == "done" else "stopped"))
            writer.status("done" if state == "done" else "stopped", step)
        else:
            writer.status("running", step)
    if state == "live":
        status = read_status(out / name)
        assert status is not None
        write_status(out / name, replace(status, kernel=None))
    assert read_state(out / name, now).state == state
    return out / name


def evaluation(variant: str, step: int, best: float, wall: float) -> EvalRecord:
    return EvalRecord(
        time=3.0,
        model=variant,
        step=step,
        tokens=7,
        epoch=1.0,
        val_loss=best,
        train_loss=best,
        perplexity=2.0,
        bits_per_char=2.0,
        best_val_loss=best,
        best_step=step,
        train_seconds=1.0,
        wall_seconds=wall,
        context=7,
    )
