"""Whole trainings of tiny models: what is recorded, when they end, requests, exceptions."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exactness import exact, records
from tests.helpers.models import TEXT
from tests.helpers.training import Trained, make_overfitting, make_session, spoil, train_session
from tinygpt import checkpoint, load
from tinygpt.run import (
    EndRecord,
    EvalRecord,
    Record,
    RoutingRecord,
    SampleRecord,
    StartRecord,
    TrainRecord,
    list_steps,
    read_config,
    read_state,
    request,
)
from tinygpt.training import Loop
from tinygpt.training.loop import PROBE_EVERY

BETWEEN_EVALUATIONS = {"train__eval_every": 89, "steps": 97, "train__checkpoint_every": 0}


def test_a_whole_run(tmp_path: Path) -> None:
    outcome = train_session(make_session(tmp_path, train__accumulate=2, train__sample_tokens=11))
    assert outcome.state == "done"
    assert outcome.reason == "13 steps"
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} >= {
        *("run.toml", "tokenizer.json", "metrics.jsonl", "status.json", "dense", "moe"),
    }
    found = records(run)
    assert isinstance(found[0], StartRecord)
    assert found[0].models["moe"]["params_total"] > found[0].models["dense"]["params_total"]
    assert isinstance(found[-1], EndRecord)
    for variant in ("dense", "moe"):
        steps = [r.step for r in found if isinstance(r, TrainRecord) and r.model == variant]
        assert steps == list(range(1, 14))
        evaluated = [r for r in found if isinstance(r, EvalRecord) and r.model == variant]
        assert [r.step for r in evaluated] == [6, 12, 13]
        assert evaluated[0].perplexity == pytest.approx(math.exp(evaluated[0].val_loss))
        assert evaluated[0].bits_per_char == pytest.approx(evaluated[0].val_loss / math.log(2))
        assert evaluated[0].tokens == 6 * 5 * 2 * 7
        assert list_steps(run, variant)[-1] == 13
        summary = outcome.models[variant]
        assert summary["val_loss"] == evaluated[-1].val_loss == load(run / variant).val_loss
        assert summary["params_total"] == load(run / variant).model.parameter_counts()[0]
    samples = [r for r in found if isinstance(r, SampleRecord)]
    assert [len(r.text) for r in samples] == [11] * 6
    routing = [r for r in found if isinstance(r, RoutingRecord)]
    assert [r.model for r in routing] == ["moe"] * 3
    assert outcome.models["moe"]["expert_load"] == routing[-1].load
    assert read_state(run).state == "done"
    assert read_config(run)["corpus"]["chars"] == len(TEXT)


def test_variants_see_the_same_batches_and_do_not_disturb_each_other(
    tmp_path: Path, trained: Trained
) -> None:
    both = exact(trained())
    for name in ("dense", "moe"):
        (tmp_path / name).mkdir()
        train_session(make_session(tmp_path / name, model=name))
        alone = exact(tmp_path / name / "run")
        assert alone == [r for r in both if getattr(r, "model", None) == name]


def test_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    schedule = {"optim__warmup": 4, "optim__decay": 0.5, "optim__final": 0.1}
    train_session(make_session(tmp_path, model="dense", **schedule))
    dense = [r.lr for r in records(tmp_path / "run") if isinstance(r, TrainRecord)]
    assert len(dense) == 13
    assert dense[0] == pytest.approx(0.02 / 4)
    assert dense[5] == pytest.approx(0.02)
    assert dense[12] == pytest.approx(0.02 * (0.1 + 0.9 * (1 - 12 / 13) / 0.5))


def test_a_target_is_noticed_between_two_evaluations(tmp_path: Path) -> None:
    outcome = train_session(make_session(tmp_path, target_loss=100.0, **BETWEEN_EVALUATIONS))
    assert {model["step"] for model in outcome.models.values()} == {PROBE_EVERY}


def test_a_target_far_away_costs_nothing(tmp_path: Path) -> None:
    options = {**BETWEEN_EVALUATIONS, "steps": PROBE_EVERY + 1}
    outcome = train_session(make_session(tmp_path, target_loss=0.1, model="dense", **options))
    assert outcome.reason == "21 steps"


def test_target_loss_ends_a_variant(tmp_path: Path) -> None:
    outcome = train_session(make_session(tmp_path, target_loss=100.0))
    assert outcome.reason == "target loss of 100 reached"
    for model in outcome.models.values():
        assert model["step"] == 6
        assert 0 < model["seconds_to_target"] <= model["train_seconds"]


def test_patience_ends_a_variant(trained: Trained) -> None:
    run = trained(make=make_overfitting, patience=3)
    found = records(run)
    outcome = found[-1]
    assert isinstance(outcome, EndRecord)
    assert outcome.state == "done"
    bests = {name: model["best_val_loss"] for name, model in outcome.models.items()}
    assert outcome.reason == "; ".join(
        f"{name}: no better validation loss in 3 evaluations, best {best:.3f} at step 6"
        for name, best in bests.items()
    )
    for variant in ("dense", "moe"):
        evaluated = [r.step for r in found if isinstance(r, EvalRecord) and r.model == variant]
        assert evaluated == [6, 12, 18, 24]
        assert list_steps(run, variant)[-1] == 24
        assert outcome.models[variant]["step"] == 24
        assert outcome.models[variant]["overfitting_since"] == 6


def test_a_variant_out_of_patience_does_not_end_the_other(tmp_path: Path) -> None:
    session = make_session(tmp_path, patience=2, steps=24, train__sample_tokens=0)
    outcome = train_session(session, observe=spoil(session.learners[0], after=6))
    assert {name: model["step"] for name, model in outcome.models.items()} == {
        "dense": 18,
        "moe": 24,
    }
    assert re.fullmatch(
        r"24 steps; dense: no better validation loss in 2 evaluations, best 3\.\d+ at step 6",
        outcome.reason,
    )


def test_the_last_step_is_the_reason_even_if_patience_ends_there_too(tmp_path: Path) -> None:
    outcome = train_session(make_overfitting(tmp_path, patience=1, steps=12))
    assert outcome.reason == "12 steps"


def test_without_patience_all_steps_are_taken(trained: Trained) -> None:
    end = records(trained(make=make_overfitting, steps=42))[-1]
    assert isinstance(end, EndRecord)
    assert end.reason == "42 steps"
    assert [model["overfitting_since"] for model in end.models.values()] == [6, 6]


def test_minutes_end_both_variants_at_the_same_step(tmp_path: Path) -> None:
    outcome = train_session(make_session(tmp_path, minutes=0.004, steps=10**6))
    assert "min reached" in outcome.reason
    dense, moe = outcome.models.values()
    assert dense["step"] == moe["step"] < 10**6
    assert list_steps(tmp_path / "run", "dense")[-1] == dense["step"]
    assert moe["val_loss"] is not None


def test_an_exception_in_a_step_is_recorded(tmp_path: Path) -> None:
    made = make_session(tmp_path, train__accumulate=2)
    moe = made.learners[1]
    step = moe.train

    def broken(*arguments: Any) -> Any:
        if moe.progress.step == 5:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return step(*arguments)

    moe.train = broken
    outcome = train_session(made)
    assert outcome.state == "failed"
    assert outcome.error
    assert outcome.error.startswith("out of memory after step 5 (this process uses ")
    assert "start a run with --train.batch 2 --train.accumulate 4" in outcome.error
    assert outcome.trace is not None
    assert "broken" in outcome.trace
    assert read_state(tmp_path / "run").state == "failed"
    assert checkpoint.newest_resumable(tmp_path / "run", "moe")[0].step == 4


def test_pause_checkpoint_and_stop_are_obeyed(tmp_path: Path) -> None:
    made = make_session(tmp_path, train__checkpoint_every=0, train__snapshots=0)
    run, states = tmp_path / "run", []

    def ask(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 3:
            request(run, "checkpoint")
            request(run, "pause")

    def sleep(_: float) -> None:
        states.append(read_state(run).state)
        if len(states) == 3:
            request(run, "stop")

    loop = Loop(made, observe=ask, sleep=sleep)
    loop._listener._control._every = 0.0
    with made.writer:
        outcome = loop.run()
    assert states == ["paused"] * 3
    assert (outcome.state, outcome.reason) == ("stopped", "asked to stop")
    assert list_steps(run, "dense") == [0, 3]
    assert not list((run / "control").glob("[cs]*"))


def test_unpaused_training_goes_on(tmp_path: Path) -> None:
    made = make_session(tmp_path, model="dense", steps=2)
    run = tmp_path / "run"
    request(run, "pause")
    loop = Loop(made, sleep=lambda _: request(run, "resume"))
    with made.writer:
        assert loop.run().state == "done"
