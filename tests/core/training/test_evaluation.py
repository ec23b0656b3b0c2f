"""The loss over a whole text."""

import pytest
import torch

from tests.helpers.models import tiny
from tinygpt.config import MoEConfig
from tinygpt.training.evaluation import evaluate, windows


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
