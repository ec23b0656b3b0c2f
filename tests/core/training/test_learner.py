"""One optimizer step: loss, gradients, precision, compilation, giving up."""

import pytest
import torch

from tests.helpers.models import tiny
from tests.helpers.training import SHAPE
from tinygpt import cuda_graphs
from tinygpt.config import build
from tinygpt.errors import TinyGPTWarning
from tinygpt.model import moe
from tinygpt.training.compiled import CompiledOrEager
from tinygpt.training.learner import Learner
from tinygpt.training.weight_average import EVERY, WeightAverage


def randomized(**changes: object) -> Learner:
    """A learner with random weights everywhere: the zeros of an untrained one would hide bugs."""
    changes = {"train.precision": "fp32", "gpt.dropout": 0.0, "train.accumulate": 2, **changes}
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


def test_a_learner_on_the_cpu_leaves_the_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touched)
    randomized()


@pytest.mark.parametrize("moe_top_k", [1, 2])
def test_bf16_matmuls_learn_as_fp32_ones(moe_top_k: int) -> None:
    learner = randomized(**{"moe.top_k": moe_top_k, "train.precision": "bf16"})
    whole = randomized(**{"moe.top_k": moe_top_k}).train(BATCHES, 0.0)
    half = learner.train(BATCHES, 0.0)
    assert half.loss.item() == pytest.approx(whole.loss.item(), rel=0.02)
    assert half.loss != whole.loss
    assert half.grad_norm.item() == pytest.approx(whole.grad_norm.item(), rel=0.05)
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
    assert {t.dtype for t in learner.snapshot().training.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("best", "evaluated", "since"),
    [(None, None, 0), (6, 6, 0), (6, 11, 0), (6, 12, 1), (10, 12, 1), (6, 29, 3), (6, 31, 4)],
)
def test_scheduled_evaluations_without_a_better_one_use_up_the_patience(
    best: int | None, evaluated: int | None, since: int
) -> None:
    """They come every 6 steps; those in between are ahead of schedule."""
    for patience in (0, 3, 4):
        learner = Learner("dense", build({**SHAPE, "patience": patience, "steps": 60}), 13, "cpu")
        learner.progress.best_step, learner.progress.evaluated_step = best, evaluated
        assert learner.evaluations_since_best == since
        assert learner.out_of_patience == learner.finished == bool(patience and since >= patience)


def test_gradients_are_clipped_to_the_norm() -> None:
    changes = {"optim.optimizer": "adamw", "optim.weight_decay": 0.0, "optim.warmup": 0}
    moved = []
    for clip in (0.0, 1e-12):
        learner = randomized(**changes, **{"optim.clip": clip})
        before = learner.model.head_weight.detach().clone()
        result = learner.train(BATCHES, 0.0)
        assert result.grad_norm > 0.01
        moved.append((learner.model.head_weight - before).abs().max().item())
    assert moved[1] < 0.5 * moved[0]  # AdamW divides by the gradient plus 1e-8


def test_balance_losses_reach_the_gates() -> None:
    gates = []
    for changes in ({}, {"moe.aux_loss": 100.0}, {"moe.aux_loss": 0.0, "moe.z_loss": 100.0}):
        learner = randomized(**changes)
        learner.train(BATCHES, 0.0)
        gates.append(learner.model.state_dict()["blocks.0.feed.router.gate"].clone())
    assert not torch.equal(gates[0], gates[1])
    assert not torch.equal(gates[0], gates[2])


def accumulated_and_whole(variant: str, **changes: object) -> tuple[Learner, Learner]:
    """Two learners after a step on the same batch: as two micro-batches, and as one."""
    values = {**SHAPE, "gpt.dropout": 0.0, "train.precision": "fp32", **changes}
    batch = torch.randint(13, (6, 8), generator=torch.Generator().manual_seed(7))
    learners = []
    for size in (3, 6):
        config = build({**values, "train.batch": size, "train.accumulate": 6 // size})
        learners.append(Learner(variant, config, 13, "cpu"))
        learners[-1].train(list(batch.split(size)), 0.0)
    return learners[0], learners[1]


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_accumulated_gradients_equal_one_batch(variant: str) -> None:
    """Those of a balancing loss too, which is no mean over tokens."""
    split, whole = accumulated_and_whole(variant, **{"moe.aux_loss": 10.0})
    for a, b in zip(split.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_experts_are_balanced_over_a_micro_batch_if_asked_for() -> None:
    changes = {"moe.aux_loss": 10.0, "moe.balance_over": "micro-batch"}
    split, whole = accumulated_and_whole("moe", **changes)
    gates = [each.model.state_dict()["blocks.0.feed.router.gate"] for each in (split, whole)]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(*gates)


def test_counting_the_tokens_of_experts_takes_no_random_numbers_of_dropout() -> None:
    """So that dropout does not depend on how experts are balanced."""
    changes = {"gpt.dropout": 0.3, "moe.aux_loss": 1e-9, "moe.balance_over": "micro-batch"}
    plain, counting = randomized(**changes), randomized(**{**changes, "moe.balance_over": "step"})
    results = [learner.train(BATCHES, 0.0) for learner in (plain, counting)]
    assert torch.equal(results[0].loss, results[1].loss)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_step_that_is_given_up_has_changed_nothing(calls: int) -> None:
    """Given up before the first micro-batch, between the two, and before the optimizers."""
    options: dict[str, object] = {"gpt.dropout": 0.1, "moe.bias_rate": 0.01}
    undisturbed, learner = randomized(**options), randomized(**options)
    for each in (undisturbed, learner):
        each.train(BATCHES, 0.0)
    before = state(learner)
    left = [calls]

    def stop() -> None:
        left[0] -= 1
        if not left[0]:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        learner.train(BATCHES, 0.5, stop)
    assert all(p.grad is None for p in learner.model.parameters())
    assert_same(before, state(learner))
    for each in (undisturbed, learner):
        each.train(BATCHES, 0.5)
    assert_same(state(undisturbed), state(learner))


def state(learner: Learner) -> dict[str, torch.Tensor]:
    """A copy of the weights, their average, and the state of the optimizers."""
    snapshot = learner.snapshot()
    tensors = {**snapshot.training, **{f"average.{k}": t for k, t in snapshot.weights.items()}}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_what_is_saved_was_trained_after_any_step() -> None:
    """The average begins at its first update, which still counts the untrained weights a little."""
    learner = randomized(**{"optim.average": 0.1})
    first = learner.model.head_weight.detach().clone()
    learner.average = WeightAverage(learner.model, 0.1)
    expected, current = first.clone(), first
    for step in range(1, 3 * EVERY):
        learner.train(BATCHES, 0.0)
        current = learner.model.head_weight.detach()
        if step % EVERY == 0:
            expected.lerp_(current, EVERY / (0.1 * step + EVERY))
        saved = learner.snapshot().weights["head"]
        assert not torch.equal(saved, first)
        assert torch.equal(saved, expected if step >= EVERY else current)


def test_a_compiler_that_fails_costs_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    model = tiny().eval()
    compiled = CompiledOrEager(model.run)
    x = torch.zeros(1, 7, dtype=torch.int64)
    with pytest.warns(TinyGPTWarning, match="so training is slower: no compiler$"):
        found = compiled(x).logits
    assert torch.equal(found, model(x))
    compiled(x)
    assert torch.equal(CompiledOrEager(model, compiled)(x), found)  # without a second warning


def test_memory_that_a_compiler_lacks_is_no_failure_to_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    with pytest.raises(torch.OutOfMemoryError):
        CompiledOrEager(tiny().run)(torch.zeros(1, 7, dtype=torch.int64))


def test_batches_move_to_the_device_of_the_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here from the CPU to the device that only has shapes, and no fused AdamW."""
    learner = Learner("dense", build(SHAPE), 13, "meta")
    for optimizer in learner.optimizers:
        monkeypatch.setattr(optimizer, "step", lambda: None)
    result = learner.train(BATCHES, 0.0)
    assert result.loss.is_meta
    assert result.grad_norm.is_meta


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_frozen_router_keeps_its_weights_and_all_else_learns(optimizer: str) -> None:
    changes = {"moe.router": "frozen", "optim.optimizer": optimizer, "optim.weight_decay": 0.3}
    learner = randomized(**changes)
    learner.average = WeightAverage(learner.model, 0.1)
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    for step in range(EVERY + 1):
        learner.train(BATCHES, step / 100)
    after = learner.model.state_dict()
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    routers = {f"blocks.{layer}.feed.router" for layer in range(2)}
    assert unchanged == {f"{r}.{part}" for r in routers for part in ("gate", "bias")}
    saved = learner.snapshot().weights
    assert all(torch.equal(saved[f"{r}.gate"], before[f"{r}.gate"]) for r in routers)
    assert learner.model.parameter_counts() == randomized().model.parameter_counts()


@pytest.mark.parametrize(
    "changes",
    [
        {"optim.clip": 0.01, "moe.bias_rate": 0.01},
        {"optim.optimizer": "adamw", "moe.top_k": 2, "gpt.dropout": 0.1},
    ],
)
def test_the_step_of_a_gpu_is_the_step_of_a_cpu(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its numbers on the device, clipped by the optimizers, and replayed."""
    plain = randomized(**changes)
    monkeypatch.setattr(cuda_graphs, "capture", lambda run, _: run)
    monkeypatch.setattr(cuda_graphs, "warm_up", lambda run, _: run())
    monkeypatch.setattr(moe, "_counts_in_table", lambda *_: True)
    learner = randomized(**changes, **{"train.cuda_graph": True})
    learner._on_cuda = True
    learner._prepare_cuda()
    for step in range(7):
        a, b = (each.train(BATCHES, step / 7) for each in (plain, learner))
        torch.testing.assert_close(a.loss, b.loss)
        torch.testing.assert_close(a.grad_norm, b.grad_norm)
        assert a.learning_rate == b.learning_rate
    for one, other in zip(plain.model.parameters(), learner.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
