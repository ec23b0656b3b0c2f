"""Losses and weights that are not finite; which checkpoints are written and kept."""

import itertools
import math
from pathlib import Path

import pytest
import torch

from tests.helpers.exactness import records
from tests.helpers.training import Trained, make_session, spoil, train_session
from tinygpt import load
from tinygpt.run import (
    CheckpointRecord,
    EndRecord,
    EvalRecord,
    Record,
    StartRecord,
    TrainRecord,
    list_steps,
    read_state,
    step_name,
)
from tinygpt.training import evaluation
from tinygpt.training.evaluation import is_evaluated_whole, windows


def test_a_loss_that_is_not_finite_stops_that_variant_alone(tmp_path: Path) -> None:
    made = make_session(tmp_path)
    dense = made.learners[0]

    def poison(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "dense" and record.step == 9:
            with torch.no_grad():
                dense.model.head_weight.fill_(math.nan)

    outcome = train_session(made, observe=poison)
    run = tmp_path / "run"
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert "dense failed at step 10: the loss is nan" in outcome.error
    assert "the last good checkpoint is dense/step-00000008" in outcome.error
    assert read_state(run).state == "failed"
    assert read_state(run).reason == outcome.error
    last = load(run / "dense", step="newest")
    assert last.step == 8
    assert load(run / "moe", step="newest").step == 13
    assert all(p.isfinite().all() for p in last.model.parameters())
    assert {r.step for r in records(run) if isinstance(r, TrainRecord) and r.model == "moe"} == {
        *range(1, 14)
    }


def test_the_best_checkpoint_stays(tmp_path: Path) -> None:
    """With one snapshot, the best checkpoint stays only because it is the best."""
    made = make_session(tmp_path, model="dense", train__snapshots=1, optim__decay=0.0, steps=30)
    dense = made.learners[0]
    assert train_session(made, observe=spoil(dense, after=12)).state == "done"
    best = dense.progress.best_step
    assert best is not None
    assert best <= 12
    assert best in list_steps(tmp_path / "run", "dense")
    found = load(tmp_path / "run" / "dense")
    assert (found.step, found.val_loss) == (best, dense.progress.best_val_loss)


def test_no_checkpoint_of_infinite_weights_between_two_logged_losses(tmp_path: Path) -> None:
    made = make_session(tmp_path, train__log_every=1000, train__eval_every=1000, steps=1000)
    dense = made.learners[0]

    def poison() -> str | None:
        if dense.progress.step == 9:
            with torch.no_grad():
                dense.model.head_weight.fill_(math.nan)
        return "SIGTERM" if dense.progress.step == 11 else None

    outcome = train_session(made, interrupted=poison)
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert "a weight is not finite" in outcome.error
    assert all(p.isfinite().all() for p in load(tmp_path / "run" / "dense").model.parameters())


def test_the_first_snapshots_are_of_trained_models(tmp_path: Path) -> None:
    outcome = train_session(make_session(tmp_path, steps=3))
    for variant in ("dense", "moe"):
        steps = range(4)
        heads = [load(tmp_path / "run" / variant / step_name(s)).model.head_weight for s in steps]
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(heads))
        untrained = math.log(39)  # the head starts at zero: uniform over the vocabulary
        assert abs(outcome.models[variant]["val_loss"] - untrained) > 1e-4


def test_how_large_a_split_is_evaluated_as_a_whole() -> None:
    assert is_evaluated_whole(131_072, 0)
    assert not is_evaluated_whole(131_073, 524_291)
    assert is_evaluated_whole(131_073, 524_292)


@pytest.fixture
def large_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validation split of 130 tokens is evaluated by a sample: 10 of its 18 windows."""
    monkeypatch.setattr(evaluation, "WHOLE_TOKENS", 70)


def test_a_split_that_is_large_for_the_training_is_not_evaluated_as_a_whole(
    tmp_path: Path, large_split: None
) -> None:
    shown = train_session(make_session(tmp_path, model="dense")).models["dense"]
    assert (shown["val_loss_over"], shown["val_tokens"]) == ("sample", 10 * 7)
    assert shown["val_loss"] == shown["sampled_val_loss"]


def test_a_large_split_is_evaluated_by_a_sample_and_at_the_end_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large_split: None
) -> None:
    monkeypatch.setattr(evaluation, "TRAINED_PER_TOKEN", 1e-6)
    session = make_session(tmp_path, model="dense")
    run, dense = tmp_path / "run", session.learners[0]
    outcome = train_session(session, observe=spoil(dense, after=6))
    assert outcome.state == "done"
    start, end = records(run)[0], records(run)[-1]
    assert isinstance(start, StartRecord)
    assert isinstance(end, EndRecord)
    evaluations = [r for r in records(run) if isinstance(r, EvalRecord)]
    assert {start.val_tokens, *(r.val_tokens for r in evaluations)} == {10 * 7}
    assert evaluations[0].val_loss == min(r.val_loss for r in evaluations)
    shown = outcome.models["dense"]
    assert shown == end.models["dense"]
    for key, step in (("val_loss", 13), ("best_val_loss", 6)):
        model = load(run / "dense" / step_name(step)).model
        whole = dense.evaluate(session.whole_validation, model=model).loss
        assert shown[key] == pytest.approx(whole, abs=1e-6)
        assert shown[key] != shown[f"sampled_{key}"]
    assert shown["sampled_best_val_loss"] == evaluations[0].val_loss
    assert shown["sampled_val_loss"] == evaluations[-1].val_loss
    assert shown["perplexity"] == pytest.approx(math.exp(shown["val_loss"]))
    assert (shown["val_loss_over"], shown["val_tokens"]) == ("whole split", 10 * 7)


def test_the_test_split_is_evaluated_once_at_the_end_of_the_last_and_the_best(
    tmp_path: Path, trained: Trained
) -> None:
    session = make_session(tmp_path, test_share=0.07)
    text = session.corpus.text
    ids = torch.tensor(session.tokenizer.encode(text[len(text) - int(0.07 * len(text)) :]))
    outcome = train_session(session, observe=spoil(session.learners[0], after=6))
    assert outcome.state == "done"
    end = records(tmp_path / "run")[-1]
    assert isinstance(end, EndRecord)
    for learner in session.learners:
        shown = end.models[learner.variant]
        for key, step in (("test_loss", 13), ("best_test_loss", learner.progress.best_step)):
            assert step is not None
            model = load(tmp_path / "run" / learner.variant / step_name(step)).model
            expected = learner.evaluate(windows(ids, 7), model=model).loss
            assert shown[key] == pytest.approx(expected, abs=1e-6)
    dense = end.models["dense"]
    assert dense["best_test_loss"] < dense["test_loss"]
    without = records(trained())[-1]
    assert isinstance(without, EndRecord)
    assert "test_loss" not in without.models["dense"]


def test_a_damaged_best_checkpoint_does_not_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large_split: None
) -> None:
    monkeypatch.setattr(evaluation, "TRAINED_PER_TOKEN", 1e-6)
    session = make_session(tmp_path, model="dense")
    spoiled = spoil(session.learners[0], after=6)

    def damage(record: Record) -> None:
        spoiled(record)
        if isinstance(record, CheckpointRecord) and record.step == 13:
            (tmp_path / "run" / "dense" / step_name(6) / "model.safetensors").write_bytes(b"x")

    with pytest.warns(UserWarning, match="step-00000006.*is not the file that was saved"):
        outcome = train_session(session, observe=damage)
    assert outcome.state == "done"
    assert outcome.models["dense"]["best_val_loss"] is None
    assert math.isfinite(outcome.models["dense"]["val_loss"])
    assert outcome.models["dense"]["val_loss_over"] == "whole split"
