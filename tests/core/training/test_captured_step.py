"""Steps that are replayed: what they read anew each time, and what happens if there is no graph."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tinygpt import cuda_graphs
from tinygpt.config import build
from tinygpt.data.batches import Batches
from tinygpt.errors import TinyGPTWarning
from tinygpt.optim import DeviceRates, Muon, set_learning_rate
from tinygpt.training.captured_step import WARM_UPS, CapturedStep
from tinygpt.training.learner import Learner


class Fixture:
    """A parameter that each step moves by its rate times what the batches hold."""

    def __init__(self) -> None:
        self.parameter = torch.nn.Parameter(torch.zeros(3, 5))
        self.optimizer = Muon([self.parameter], lr=1.0)
        self.optimizer.param_groups[0].update(peak=1.0, peak_decay=0.0)
        self.optimizer.rates = DeviceRates(self.optimizer.param_groups)
        self.calls = 0
        self.step = CapturedStep(self.plain, [self.optimizer])

    def plain(self, batches: list[Tensor]) -> tuple[Tensor, Tensor]:
        self.calls += 1
        assert self.optimizer.rates
        total = torch.stack(batches).sum() * self.optimizer.rates.rate[0]
        self.parameter.data += total
        return total, total * 2

    def take(self, steps: int) -> list[tuple[float, float]]:
        found = []
        for step in range(steps):
            set_learning_rate([self.optimizer], 0.5**step)
            batches = [torch.full((2, 3), 1.0 + step), torch.full((2, 3), 10.0)]
            found.append(self.step(batches))
        return [(loss.item(), norm.item()) for loss, norm in found]


WANTED = [(6 * (11.0 + step) * 0.5**step, 12 * (11.0 + step) * 0.5**step) for step in range(7)]


def test_a_replay_reads_the_batches_and_rates_of_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    captured: list[int] = []
    fixture = Fixture()

    def capture(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
        assert device.type == "cpu"
        captured.append(fixture.calls)
        return run  # a graph computes nothing until it is replayed

    monkeypatch.setattr(cuda_graphs, "capture", capture)
    monkeypatch.setattr(cuda_graphs, "warm_up", lambda run, _: run())
    assert fixture.take(7) == WANTED
    assert captured == [WARM_UPS]
    assert fixture.parameter[0, 0].item() == pytest.approx(sum(loss for loss, _ in WANTED))


def test_without_a_graph_it_takes_plain_steps_after_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture = Fixture()

    def refuse(*_: object) -> None:
        fixture.parameter.grad = torch.ones(3, 5)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(cuda_graphs, "capture", refuse)
    monkeypatch.setattr(cuda_graphs, "warm_up", lambda run, _: run())
    with pytest.warns(TinyGPTWarning, match=r"without it \(operation .* capturing\)$") as warned:
        assert fixture.take(7) == WANTED
    assert len(warned) == 1
    assert fixture.calls == 7
    assert fixture.parameter.grad is None


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["dense", "moe"])
@pytest.mark.parametrize("compiled", [False, True])
def test_on_a_card_replayed_steps_are_the_plain_ones(variant: str, *, compiled: bool) -> None:
    """Widths that the matmuls of a card take: 64 channels, 4 heads."""
    shape: dict[str, object] = {"gpt.width": 64, "gpt.layers": 2, "gpt.context": 32}
    shape |= {"train.batch": 16, "gpt.dropout": 0.1, "train.compile": compiled, "device": "cuda"}
    shape |= {"optim.weight_decay": 0.1, "optim.weight_decay_power": 0.5}
    text = torch.arange(40_000).cumsum(0) % 65
    losses = []
    for graph in (False, True):
        config = build({**shape, "train.cuda_graph": graph})
        learner = Learner(variant, config, 65, "cuda")
        batches = Batches(text.cuda(), 16, 32, 1, seed=1)
        results = [learner.train(batches(step), step / 20) for step in range(20)]
        losses.append(torch.stack([result.loss for result in results]).cpu())
    torch.testing.assert_close(*losses, atol=0.02, rtol=0.02)
