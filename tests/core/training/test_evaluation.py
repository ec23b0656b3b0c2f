"""The loss over a whole text."""

import pytest
import torch

from tests.helpers.models import tiny
from tinygpt.config import build
from tinygpt.model_config import MoEConfig
from tinygpt.presets import PRESETS
from tinygpt.training import evaluation
from tinygpt.training.evaluation import (
    TOKENS,
    evaluate,
    evaluate_text,
    sample,
    sample_tokens,
    tokens_in,
    tokens_per_batch,
    windows,
)


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


@pytest.mark.parametrize(("count", "stride"), [(38, 11), (38, 4), (12, 5), (13, 5), (7, 3)])
def test_a_text_in_overlapping_windows(count: int, stride: int) -> None:
    """Each token is predicted from the first window that reaches it."""
    tokens = torch.randint(13, (count,), generator=torch.Generator().manual_seed(1))
    model, losses = tiny().eval(), []
    with torch.no_grad():
        for target in range(1, count):
            start = next(s for s in range(0, count, stride) if target <= s + 11)
            log_p = model(tokens[None, start:target])[0, -1].log_softmax(-1)
            losses.append(-log_p[tokens[target]].item())
    expected = pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert evaluate_text(model, tokens, stride) == expected


def test_evaluation_leaves_the_model_training() -> None:
    model = tiny(dropout=0.5).train()
    parts = windows(torch.arange(13), 11)
    assert evaluate(model, parts).loss == evaluate(model, parts).loss
    assert model.training


def test_the_load_entropy_of_one_expert_is_zero() -> None:
    model = tiny(moe=MoEConfig(experts=1))
    found = evaluate(model, windows(torch.arange(13), 11)).routing
    assert found is not None
    assert [str(entropy) for entropy in found.entropy] == ["0.0"] * model.config.layers


def test_a_listener_is_called_before_each_batch_and_may_end_the_evaluation() -> None:
    model, calls = tiny().train(), []
    parts = windows(torch.randint(13, (12_293,)), 11)
    evaluate(model, parts, lambda: calls.append(1))
    assert len(calls) == 5  # 1,117 windows, at most 341 per batch, and the remainder

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        evaluate(model, parts, stop)
    assert model.training


@pytest.mark.parametrize("preset", PRESETS)
def test_tinyshakespeare_is_evaluated_as_a_whole(preset: str) -> None:
    config = build({"preset": preset})
    between = config.train.eval_every * config.batch_tokens
    assert sample_tokens(111_540, config.gpt.context, between) is None


def test_the_sample_grows_with_the_work_between_two_evaluations() -> None:
    assert sample_tokens(131_073, 64, 10) is None
    assert sample_tokens(131_074, 64, 10) == 131_072
    assert sample_tokens(10**7, 7, 10) == 131_068  # full windows
    assert sample_tokens(10**7, 64, 10**6) == 149_952
    assert sample_tokens(10**7, 64, 10**8) is None
    assert sample_tokens(10**7, 200_000, 10) == 200_000  # at least one window


def test_the_sample_covers_the_whole_text_evenly() -> None:
    tokens = torch.arange(1 + 11 * 19)
    (found,) = sample(tokens, 11, 7 * 11)
    assert found.shape == (7, 12)
    assert (found[:, 0] // 11).tolist() == [0, 2, 5, 8, 10, 13, 16]
    assert tokens_in([found]) == 77
    assert tokens_in(windows(torch.arange(38), 11)) == 37


def test_a_batch_is_small_on_a_cpu_and_as_large_as_a_gpu_allows() -> None:
    config = build({"preset": "baby"}).model_config("dense", 65)
    assert tokens_per_batch(config, None) == TOKENS
    assert tokens_per_batch(config, 80 * 2**30) > 111_540  # all of tinyshakespeare's validation
    assert tokens_per_batch(config, 2**20) == TOKENS


def test_the_size_of_a_batch_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(moe=MoEConfig(experts=5))
    parts = windows(torch.randint(13, (138,), generator=torch.Generator().manual_seed(1)), 11)
    whole = evaluate(model, parts)
    monkeypatch.setattr(evaluation, "tokens_per_batch", lambda *_: 31)
    in_parts = evaluate(model, parts)
    assert in_parts.loss == pytest.approx(whole.loss, abs=1e-6)
    assert in_parts.routing is not None
    assert whole.routing is not None
    assert in_parts.routing.load == whole.routing.load
    assert in_parts.routing.mean_top1 == pytest.approx(whole.routing.mean_top1, abs=1e-6)
