"""What is minimised, and that a compiler sees all of it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.model import moe as moe_module
from tinygpt.model.gpt import GPT
from tinygpt.model.moe import balance_loss, z_loss
from tinygpt.model_config import MoEConfig
from tinygpt.training.objective import objective

BATCH = torch.randint(13, (3, 8), generator=torch.Generator().manual_seed(5))


def test_dense_minimises_the_cross_entropy() -> None:
    model = tiny()
    losses = objective(model, BATCH)
    wanted = F.cross_entropy(model(BATCH[:, :-1]).flatten(0, 1), BATCH[:, 1:].flatten())
    assert torch.equal(losses.total, wanted)
    assert torch.equal(losses.cross_entropy, wanted)
    assert losses.loads == []
    assert losses.total.requires_grad
    assert not losses.cross_entropy.requires_grad


def test_the_losses_of_the_routers_are_added_with_their_weights() -> None:
    model = tiny(moe=MoEConfig(aux_loss=0.7, z_loss=0.3, bias_rate=0.1))
    losses, routing = objective(model, BATCH), model.run(BATCH[:, :-1]).routing
    extra = sum(0.7 * balance_loss(r) + 0.3 * z_loss(r) for r in routing)
    torch.testing.assert_close(losses.total, losses.cross_entropy + extra)
    assert [load.tolist() for load in losses.loads] == [r.load().tolist() for r in routing]


def without_host_numbers(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """`grouped_linear` as on CUDA: the numbers of rows stay on the device."""
    group = (torch.arange(len(x))[:, None] >= ends).sum(1)
    return torch.einsum("ri,roi->ro", x, weight[group])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # dynamo's
@pytest.mark.parametrize(
    "moe", [None, MoEConfig(z_loss=0.1), MoEConfig(experts=5, top_k=2, bias_rate=0.1)]
)
def test_a_compiler_sees_one_graph(moe: MoEConfig | None, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def collect(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(moe_module, "grouped_linear", without_host_numbers)
    monkeypatch.setattr(moe_module, "_counts_in_table", lambda *_: True)
    model = tiny(moe=moe, layers=2)
    found = torch.compile(objective, backend=collect, fullgraph=True)(model, BATCH)
    torch.testing.assert_close(found.total, objective(model, BATCH).total)
    assert len(graphs) == 1


def gradients(model: GPT) -> dict[str, Tensor]:
    """Of the losses of `BATCH`, by parameter."""
    torch.manual_seed(3)  # of dropout
    objective(model, BATCH).total.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def kept_bytes(model: GPT) -> int:
    """What the forward pass keeps for the backward pass, besides the parameters."""
    own = {p.data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = objective(model, BATCH)
    del losses
    return sum(kept.values())


@pytest.mark.parametrize("moe", [None, MoEConfig(z_loss=0.1)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_blocks_computed_again_give_the_same_gradients_with_less_memory(
    moe: MoEConfig | None, dropout: float
) -> None:
    wanted = gradients(tiny(moe=moe, dropout=dropout))
    again = tiny(moe=moe, dropout=dropout)
    again.recompute = True
    found = gradients(again)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    plain = tiny(moe=moe, dropout=dropout)
    assert kept_bytes(again) < kept_bytes(plain) / 3
