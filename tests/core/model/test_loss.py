"""The loss in chunks is that of all logits at once, with the same gradients and less memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.model import loss
from tinygpt.model.loss import next_token_loss
from tinygpt.training.evaluation import evaluate
from tinygpt.training.objective import objective

B, T, D, V = 3, 7, 11, 29


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "MOST_LOGITS", 4 * V)


def make(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    hidden, head = torch.randn(B, T, D, generator=random), torch.randn(V, D, generator=random)
    hidden, head = (x.to(dtype).requires_grad_() for x in (hidden, head))
    return hidden, head, torch.randint(V, (B, T), generator=random)


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradients_are_those_of_all_logits_at_once(reduction: str) -> None:
    hidden, head, targets = make(torch.float32)
    found = next_token_loss(hidden, head, targets, reduction)  # type: ignore[arg-type]
    (3 * found).backward()
    found_gradients = hidden.grad, head.grad
    hidden, head, targets = make()
    logits = F.linear(hidden, head).flatten(0, 1)
    wanted = F.cross_entropy(logits, targets.flatten(), reduction=reduction)
    (3 * wanted).backward()
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)
    for gradient, exact in zip(found_gradients, (hidden.grad, head.grad), strict=True):
        assert gradient is not None
        assert exact is not None
        torch.testing.assert_close(gradient.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 5, B * T - 1, B * T])
def test_never_more_logits_than_allowed(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head, targets = make(torch.float32)
    sizes: list[int] = []

    def project(x: Tensor, weight: Tensor) -> Tensor:
        found = F.linear(x, weight)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(loss, "MOST_LOGITS", rows * V)
    monkeypatch.setattr(loss, "project", project)
    next_token_loss(hidden, head, targets).backward()
    assert max(sizes) == rows * V
    assert sum(sizes) == B * T * V


@pytest.mark.usefixtures("chunked")
def test_in_bf16_the_gradients_are_as_near_as_those_of_all_logits() -> None:
    hidden, head, targets = make(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        next_token_loss(hidden, head, targets).backward()
        assert hidden.grad is not None
        found = hidden.grad.clone()
        hidden.grad = None
        logits = F.linear(hidden, head).flatten(0, 1).float()
        F.cross_entropy(logits, targets.flatten()).backward()
    torch.testing.assert_close(found, hidden.grad, rtol=0.02, atol=2e-4)


@pytest.mark.usefixtures("chunked")
def test_without_gradients_none_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head, targets = make(torch.float32)
    wanted = next_token_loss(hidden, head, targets)
    monkeypatch.setattr(Tensor, "__matmul__", None)  # only the gradients multiply this way
    with torch.no_grad():
        assert torch.equal(next_token_loss(hidden, head, targets), wanted)


def test_training_and_evaluation_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny(), torch.randint(13, (5, 8), generator=torch.Generator().manual_seed(2))
    plain = objective(model, batch)
    plain.total.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    evaluated = evaluate(model, [batch]).loss
    model.zero_grad()
    monkeypatch.setattr(loss, "MOST_LOGITS", 3 * 13)
    sizes: list[int] = []

    def project(x: Tensor, weight: Tensor) -> Tensor:
        sizes.append(x[..., 0].numel())
        return F.linear(x, weight)

    monkeypatch.setattr(loss, "project", project)
    chunked = objective(model, batch)
    chunked.total.backward()
    torch.testing.assert_close(chunked.total, plain.total, rtol=1e-6, atol=0)
    for name, parameter in model.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-6)
    assert evaluate(model, [batch]).loss == pytest.approx(evaluated, rel=1e-6)
    assert max(sizes) == 3
    assert sum(sizes) == 2 * batch[:, 1:].numel()
