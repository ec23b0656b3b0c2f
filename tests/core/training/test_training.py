"""Whole trainings of tiny models in this process: records, exact resume, ends, failures."""

import errno
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.exactness import exact, records
from tests.helpers.models import TEXT, tiny
from tinygpt import checkpoint, load
from tinygpt.config import build
from tinygpt.data.batches import Batches
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.errors import ConfigError, CorpusError, RunError
from tinygpt.run import (
    EndRecord,
    EvalRecord,
    Record,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    StartRecord,
    TrainRecord,
    checkpoint_dir,
    list_steps,
    read_config,
    read_state,
    request,
)
from tinygpt.training import Loop, Outcome, begin, resume
from tinygpt.training.evaluation import evaluate, windows
from tinygpt.training.learner import CompiledOrEager, Learner
from tinygpt.training.loop import PROBE_EVERY
from tinygpt.training.resume import resumed_config

SHAPE: dict[str, object] = {
    "gpt.layers": 2,
    "gpt.heads": 2,
    "gpt.width": 12,
    "gpt.context": 7,
    "gpt.dropout": 0.1,
    "train.batch": 5,
    "train.eval_every": 6,
    "train.checkpoint_every": 4,
    "train.sample_tokens": 11,
    "train.accumulate": 2,
    "steps": 13,
    "device": "cpu",
}


def session(folder: Path, **changes: object) -> Any:
    path = folder / "corpus.txt"
    path.write_text(TEXT)
    values = {**SHAPE, "data": str(path), **{k.replace("__", "."): v for k, v in changes.items()}}
    return begin(build(values), read_text(path), str(folder), "run", ["test"])


def train(made: Any, **arguments: Any) -> Outcome:
    with made.writer:
        return Loop(made, **arguments).run()


def stop_at(step: int, made: Any) -> Callable[[], str | None]:
    return lambda: "SIGTERM" if made.learners[0].progress.step >= step else None


def test_a_whole_run(tmp_path: Path) -> None:
    outcome = train(session(tmp_path))
    assert outcome.state == "done"
    assert outcome.reason == "all 13 steps are taken"
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


def test_variants_see_the_same_batches_and_do_not_disturb_each_other(tmp_path: Path) -> None:
    for name in ("both", "dense", "moe"):
        (tmp_path / name).mkdir()
        train(session(tmp_path / name, model=name))
    both = exact(tmp_path / "both" / "run")
    for name in ("dense", "moe"):
        alone = exact(tmp_path / name / "run")
        assert alone == [r for r in both if getattr(r, "model", None) == name]


@pytest.mark.parametrize("step", [1, 4, 6, 11])
@pytest.mark.parametrize("options", [{}, {"optim__optimizer": "adamw", "moe__bias_rate": 0.01}])
def test_resumed_equals_uninterrupted(tmp_path: Path, step: int, options: dict[str, Any]) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    train(session(tmp_path / "whole", **options))
    made = session(tmp_path / "parts", **options)
    outcome = train(made, interrupted=stop_at(step, made))
    assert outcome.state == "stopped"
    run = tmp_path / "parts" / "run"
    assert read_state(run).state == "stopped"
    torch.manual_seed(12345)  # whatever the global generator holds
    assert train(resume(run, {})).state == "done"
    assert exact(run) == exact(tmp_path / "whole" / "run")
    for variant in ("dense", "moe"):
        a = checkpoint.restore(checkpoint_dir(run, variant, 13))
        b = checkpoint.restore(checkpoint_dir(tmp_path / "whole" / "run", variant, 13))
        assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)
        assert all(torch.equal(a.training[k], b.training[k]) for k in a.training)


def test_corrupt_newest_checkpoint_falls_back_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    train(session(tmp_path / "whole"))
    made = session(tmp_path)
    train(made, interrupted=stop_at(9, made))
    run = tmp_path / "run"
    torn = run / "moe" / "step-00000009" / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-3])
    again = resume(run, {})
    assert [v.progress.step for v in again.learners] == [9, 8]
    assert len(again.notes) == 1
    assert "moe/step-00000009" in again.notes[0]
    assert "resuming from step-00000008 instead" in again.notes[0]
    train(again)
    assert exact(run) == exact(tmp_path / "whole" / "run")
    note = next(r.note for r in records(run) if isinstance(r, ResumeRecord))
    assert note is not None
    assert "moe/step-00000009" in note


def test_resume_of_a_run_that_is_done_needs_a_later_end(tmp_path: Path) -> None:
    train(session(tmp_path))
    run = tmp_path / "run"
    with pytest.raises(RunError, match="is done at step 13: name a later end"):
        resume(run, {})
    assert read_state(run).state == "done"
    outcome = train(resume(run, {"steps": "17"}))
    assert [m["step"] for m in outcome.models.values()] == [17, 17]


def test_resume_with_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.toml is missing"):
        resume(tmp_path, {})
    train(session(tmp_path))
    run = tmp_path / "run"
    shutil.rmtree(run / "moe")
    with pytest.raises(RunError, match="there is nothing to resume"):
        resume(run, {"steps": "17"})


@pytest.mark.parametrize("records_left", [0, 1])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, records_left: int
) -> None:
    (tmp_path / "a").mkdir()
    train(session(tmp_path / "a"))
    session(tmp_path).writer.close()
    run = tmp_path / "run"
    os.truncate(run / "metrics.jsonl", records_left and os.path.getsize(run / "metrics.jsonl"))
    again = resume(run, {})
    assert again.notes == [f"{v} had no checkpoint yet: it begins again" for v in ("dense", "moe")]
    assert train(again).state == "done"
    assert isinstance(records(run)[0], StartRecord)
    assert exact(run) == exact(tmp_path / "a" / "run")


def test_resume_with_another_configuration(tmp_path: Path) -> None:
    made = session(tmp_path)
    train(made, interrupted=stop_at(3, made))
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"--gpt.layers is 3, and .* was begun with 2"):
        resume(run, {"gpt.layers": "3"})
    again = resume(run, {"gpt.layers": "2", "seed": "1"})
    again.writer.close()
    assert again.config == made.config


def test_a_new_end_replaces_the_old_one(tmp_path: Path) -> None:
    stored = {"steps": 13, "seed": 1}
    assert resumed_config(stored, {"minutes": "2"}, tmp_path).steps is None
    assert resumed_config(stored, {"target_loss": "2"}, tmp_path).steps == 13


def test_resume_with_another_corpus(tmp_path: Path) -> None:
    made = session(tmp_path)
    train(made, interrupted=stop_at(3, made))
    (tmp_path / "corpus.txt").write_text(TEXT + "more")
    with pytest.raises(RunError, match=r"the corpus of .* has changed"):
        resume(tmp_path / "run", {})


def test_two_trainers_on_one_run(tmp_path: Path) -> None:
    made = session(tmp_path)
    outcome = train(made, interrupted=stop_at(3, made))
    assert outcome.state == "stopped"
    first = resume(tmp_path / "run", {})
    with first.writer, pytest.raises(RunError, match="is being trained by process"):
        resume(tmp_path / "run", {})


def test_nothing_is_made_for_a_mistake(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("abc" * 5)
    with pytest.raises(CorpusError, match="15 characters"):
        begin(build(SHAPE), read_text(short), str(tmp_path / "out"), "run", [])
    with pytest.raises(ConfigError, match=r"--train\.sample-prompt"):
        session(tmp_path, train__sample_prompt="é")
    with pytest.raises(RunError, match="cannot name a run"):
        begin(build(SHAPE), Corpus("a", TEXT, "0", ""), str(tmp_path / "out"), "a/b", [])
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()


def test_a_target_is_noticed_between_two_evaluations(tmp_path: Path) -> None:
    outcome = train(session(tmp_path, target_loss=100.0, steps=97, train__eval_every=89))
    assert {model["step"] for model in outcome.models.values()} == {PROBE_EVERY}


def test_a_target_far_away_costs_nothing(tmp_path: Path) -> None:
    outcome = train(session(tmp_path, target_loss=0.1, steps=23, train__eval_every=89))
    assert outcome.reason == "all 23 steps are taken"


def test_target_loss_ends_a_variant(tmp_path: Path) -> None:
    outcome = train(session(tmp_path, target_loss=100.0))
    assert outcome.reason == "reached the target loss of 100"
    for model in outcome.models.values():
        assert model["step"] == 6
        assert 0 < model["seconds_to_target"] <= model["train_seconds"]


def test_minutes_end_both_variants_at_the_same_step(tmp_path: Path) -> None:
    outcome = train(session(tmp_path, minutes=0.004, steps=10**6))
    assert "minutes are over" in outcome.reason
    dense, moe = outcome.models.values()
    assert dense["step"] == moe["step"] < 10**6
    assert list_steps(tmp_path / "run", "dense")[-1] == dense["step"]
    assert moe["val_loss"] is not None


def test_a_loss_that_is_not_finite_stops_that_variant_alone(tmp_path: Path) -> None:
    made = session(tmp_path)
    dense = made.learners[0]

    def poison(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "dense" and record.step == 9:
            with torch.no_grad():
                dense.model.head.fill_(math.nan)

    outcome = train(made, observe=poison)
    run = tmp_path / "run"
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert "dense failed at step 10: the loss is nan" in outcome.error
    assert "the last good checkpoint is dense/step-00000008" in outcome.error
    assert read_state(run).state == "failed"
    assert read_state(run).reason == outcome.error
    assert load(run / "dense").step == 8
    assert load(run / "moe").step == 13
    assert all(p.isfinite().all() for p in load(run / "dense").model.parameters())
    assert {r.step for r in records(run) if isinstance(r, TrainRecord) and r.model == "moe"} == {
        *range(1, 14)
    }


def test_an_exception_in_a_step_is_recorded(tmp_path: Path) -> None:
    made = session(tmp_path)
    moe = made.learners[1]
    step = moe.train

    def broken(*arguments: Any) -> Any:
        if moe.progress.step == 5:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return step(*arguments)

    moe.train = broken
    outcome = train(made)
    assert outcome.state == "failed"
    assert outcome.error
    assert outcome.error.startswith("out of memory after step 5: choose a smaller --train.batch")
    assert outcome.trace is not None
    assert "broken" in outcome.trace
    assert read_state(tmp_path / "run").state == "failed"
    assert checkpoint.newest_resumable(tmp_path / "run", "moe")[0].step == 4


class Full:
    """A disk without room for anything, for the first `times` tries of a call of `os`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, times: int) -> None:
        self.left, self._real = times, getattr(os, call)
        monkeypatch.setattr(os, call, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._real(*arguments, **named)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "a").mkdir()
    train(session(tmp_path / "a"))
    run, seen = tmp_path / "run", []
    made = session(tmp_path)
    full: list[Full] = []

    def fill(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            full.append(Full(monkeypatch, call, 5))

    def sleep(_: float) -> None:
        seen.append(read_state(run))

    assert train(made, observe=fill, sleep=sleep).state == "done"
    assert full
    assert seen
    assert {state.state for state in seen} == {"paused"}
    assert all("No space left on device; it goes on when" in state.reason for state in seen)
    assert exact(run) == exact(tmp_path / "a" / "run")
    assert read_state(run).state == "done"


def test_a_full_disk_is_not_waited_for_when_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = session(tmp_path)
    asked: list[float] = []

    def fill(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            Full(monkeypatch, "write", 1000)

    outcome = train(
        made, observe=fill, sleep=asked.append, interrupted=lambda: "SIGTERM" if asked else None
    )
    monkeypatch.undo()
    assert (outcome.state, len(asked)) == ("failed", 1)
    assert "metrics.jsonl: No space left on device" in str(outcome.error)
    assert read_state(tmp_path / "run").state == "failed"
    assert checkpoint.newest_resumable(tmp_path / "run", "moe")[0].step == 6


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def delete(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.model == "moe" and record.step == 7:
            shutil.rmtree(run)

    outcome = train(session(tmp_path), observe=delete)
    assert outcome.state == "failed"
    assert "No such file or directory" in str(outcome.error)
    assert not run.exists()


def test_pause_checkpoint_and_stop_are_obeyed(tmp_path: Path) -> None:
    made = session(tmp_path, train__checkpoint_every=0, train__snapshots=0)
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
    loop._control._every = 0.0
    with made.writer:
        outcome = loop.run()
    assert states == ["paused"] * 3
    assert (outcome.state, outcome.reason) == ("stopped", "asked to stop")
    assert list_steps(run, "dense") == [0, 3]
    assert not list((run / "control").glob("[cs]*"))


def test_unpaused_training_goes_on(tmp_path: Path) -> None:
    made = session(tmp_path)
    run = tmp_path / "run"
    request(run, "pause")
    loop = Loop(made, sleep=lambda _: request(run, "resume"))
    with made.writer:
        assert loop.run().state == "done"


def test_batches_depend_on_seed_and_step_alone() -> None:
    tokens = torch.arange(101)
    batches = Batches(tokens, 5, 7, 3, seed=11)
    first = batches(4)
    batches(5)
    assert all(torch.equal(a, b) for a, b in zip(first, batches(4), strict=True))
    assert [b.shape for b in first] == [(5, 8)] * 3
    assert all(torch.equal(b[:, 1:], b[:, :-1] + 1) for b in first)
    other = Batches(tokens, 5, 7, 3, seed=12)(4)
    assert not torch.equal(first[0], other[0])


def test_batches_reach_every_place() -> None:
    tokens = torch.arange(11)
    seen = torch.cat([Batches(tokens, 13, 7, 1, seed=1)(s)[0][:, 0] for s in range(20)])
    assert set(seen.tolist()) == {0, 1, 2, 3}


def test_evaluation_predicts_every_token_but_the_first_once() -> None:
    tokens = torch.randint(13, (38,), generator=torch.Generator().manual_seed(1))
    model = tiny().eval()
    parts = windows(tokens, 11)
    assert [tuple(part.shape) for part in parts] == [(3, 12), (1, 5)]
    assert torch.cat([p[:, 1:].flatten() for p in parts]).tolist() == tokens[1:].tolist()
    losses = []
    with torch.no_grad():
        for start in range(0, 37, 11):
            piece = tokens[start : start + 12]
            log_p = model(piece[None, :-1])[0].log_softmax(-1)
            losses += [-log_p[i, t].item() for i, t in enumerate(piece[1:])]
    assert len(losses) == 37
    assert evaluate(model, parts).loss == pytest.approx(sum(losses) / 37, abs=1e-6)


def randomized(**changes: object) -> Learner:
    """A learner whose every weight is drawn: an untrained one would hide faults."""
    changes = {"train.precision": "fp32", "gpt.dropout": 0.0, **changes}
    learner = Learner("moe", build({**SHAPE, **changes}), 13, "cpu")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return learner


BATCHES = [torch.randint(13, (5, 8), generator=torch.Generator().manual_seed(i)) for i in range(2)]


def test_the_next_token_is_what_is_learned() -> None:
    learner = randomized()
    losses = []
    with torch.no_grad():
        for batch in BATCHES:
            for text in batch:
                log_p = learner.model(text[None, :-1])[0].log_softmax(-1)
                losses += [-log_p[t, text[t + 1]].item() for t in range(7)]
    result = learner.train(BATCHES, 0.0)
    assert result.loss.item() == pytest.approx(sum(losses) / len(losses), abs=1e-5)


@pytest.mark.parametrize("moe_top_k", [1, 2])
def test_bf16_products_learn_what_fp32_ones_do(moe_top_k: int) -> None:
    learner = randomized(**{"moe.top_k": moe_top_k, "train.precision": "bf16"})
    whole = randomized(**{"moe.top_k": moe_top_k}).train(BATCHES, 0.0)
    half = learner.train(BATCHES, 0.0)
    assert half.loss.item() == pytest.approx(whole.loss.item(), rel=0.02)
    assert half.loss != whole.loss
    assert half.grad_norm.item() == pytest.approx(whole.grad_norm.item(), rel=0.05)
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
    assert {t.dtype for t in learner.snapshot().training.values()} == {torch.float32}


def test_gradients_are_clipped_to_the_norm() -> None:
    changes = {"optim.optimizer": "adamw", "optim.weight_decay": 0.0, "optim.warmup": 0}
    moved = []
    for clip in (0.0, 1e-12):
        learner = randomized(**changes, **{"optim.clip": clip})
        before = learner.model.head.detach().clone()
        result = learner.train(BATCHES, 0.0)
        assert result.grad_norm > 0.01
        moved.append((learner.model.head - before).abs().max().item())
    assert moved[1] < 0.5 * moved[0]  # AdamW divides by the gradient plus 1e-8


def test_balance_losses_reach_the_gates() -> None:
    gates = []
    for changes in ({}, {"moe.aux_loss": 100.0}, {"moe.aux_loss": 0.0, "moe.z_loss": 100.0}):
        learner = randomized(**changes)
        learner.train(BATCHES, 0.0)
        gates.append(learner.model.state_dict()["blocks.0.feed.router.gate"].clone())
    assert not torch.equal(gates[0], gates[1])
    assert not torch.equal(gates[0], gates[2])


def test_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    train(session(tmp_path, optim__warmup=4, optim__decay=0.5, optim__final=0.1))
    rates = [r.lr for r in records(tmp_path / "run") if isinstance(r, TrainRecord)]
    dense = rates[::2]
    assert dense[0] == pytest.approx(0.02 / 4)
    assert dense[5] == pytest.approx(0.02)
    assert dense[12] == pytest.approx(0.02 * (0.1 + 0.9 * (1 - 12 / 13) / 0.5))


def test_the_best_checkpoint_stays(tmp_path: Path) -> None:
    """With one snapshot, only the best protects itself, once the loss has become worse."""
    made = session(
        tmp_path, train__snapshots=1, train__checkpoint_every=0, optim__decay=0.0, steps=60
    )
    dense = made.learners[0]

    def spoil(record: Record) -> None:
        if isinstance(record, EvalRecord) and record.model == "dense" and record.step == 30:
            with torch.no_grad():
                dense.model.head.mul_(50)
            for group in (g for o in dense.optimizers for g in o.param_groups):
                group["peak"] = 0.0

    assert train(made, observe=spoil).state == "done"
    best = dense.progress.best_step
    assert best is not None
    assert best <= 30
    assert best in list_steps(tmp_path / "run", "dense")


def test_no_poisoned_checkpoint_between_two_looks_at_the_loss(tmp_path: Path) -> None:
    made = session(tmp_path, train__log_every=1000, train__eval_every=1000, steps=1000)
    dense = made.learners[0]

    def poison() -> str | None:
        if dense.progress.step == 9:
            with torch.no_grad():
                dense.model.head.fill_(math.nan)
        return "SIGTERM" if dense.progress.step == 11 else None

    outcome = train(made, interrupted=poison)
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert "a weight is not finite" in outcome.error
    assert all(p.isfinite().all() for p in load(tmp_path / "run" / "dense").model.parameters())


def test_a_new_end_holds_for_later_resumes_too(tmp_path: Path) -> None:
    train(session(tmp_path))
    run = tmp_path / "run"
    again = resume(run, {"steps": "23"})
    train(again, interrupted=stop_at(17, again))
    assert train(resume(run, {})).reason == "all 23 steps are taken"


def test_a_torn_checkpoint_does_not_stay(tmp_path: Path) -> None:
    made = session(tmp_path)
    train(made, interrupted=stop_at(9, made))
    run = tmp_path / "run"
    (run / "moe" / "step-00000009" / "model.safetensors").write_bytes(b"")
    resume(run, {}).writer.close()
    assert load(run / "moe").step == 8


def test_ends_that_were_reached_are_named(tmp_path: Path) -> None:
    train(session(tmp_path, target_loss=100.0))
    run = tmp_path / "run"
    with pytest.raises(
        RunError, match=r"has reached --target-loss 100 at step 6: name a lower one"
    ):
        resume(run, {"steps": "60"})
    with pytest.raises(RunError, match=r"has used its .* minutes"):
        resume(run, {"minutes": "0.0001"})
    outcome = train(resume(run, {"target_loss": "0.1"}))
    assert outcome.models["dense"]["seconds_to_target"] is None


def test_the_corpus_may_have_moved(tmp_path: Path) -> None:
    made = session(tmp_path)
    train(made, interrupted=stop_at(3, made))
    moved = (tmp_path / "corpus.txt").rename(tmp_path / "moved.txt")
    with pytest.raises(CorpusError, match="does not exist"):
        resume(tmp_path / "run", {})
    resume(tmp_path / "run", {"data": str(moved)}).writer.close()


def test_evaluation_leaves_the_model_training() -> None:
    model = tiny(dropout=0.5).train()
    parts = windows(torch.arange(13), 11)
    assert evaluate(model, parts).loss == evaluate(model, parts).loss
    assert model.training


def test_accumulated_gradients_equal_one_batch() -> None:
    values = {**SHAPE, "gpt.dropout": 0.0, "optim.clip": 0.0, "train.precision": "fp32"}
    split = Learner("dense", build({**values, "train.batch": 3, "train.accumulate": 2}), 13, "cpu")
    whole = Learner("dense", build({**values, "train.batch": 6, "train.accumulate": 1}), 13, "cpu")
    batch = torch.randint(13, (6, 8))
    a = split.train(list(batch.split(3)), 0.0)
    b = whole.train([batch], 0.0)
    torch.testing.assert_close(a.loss, b.loss)
    torch.testing.assert_close(a.grad_norm, b.grad_norm)


def test_a_compiler_that_fails_costs_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(torch, "compile", lambda _: broken)
    model = tiny().eval()
    compiled = CompiledOrEager(model)
    x = torch.zeros(1, 7, dtype=torch.int64)
    with pytest.warns(UserWarning, match=r"goes on without \(no compiler\)"):
        found = compiled(x).logits
    assert torch.equal(found, model(x))
    compiled(x)
