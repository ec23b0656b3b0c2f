"""The Transformer: shapes, causality, positions, and two paths to one answer."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT, apply_rope, attend, attention_weights, padded_linear
from tinygpt.model.kv_cache import Cache
from tinygpt.model.moe import balance_loss, z_loss
from tinygpt.model_config import ModelConfig, MoEConfig

TIES = pytest.mark.parametrize("tied", [False, True])
MOES = pytest.mark.parametrize("moe", [None, MoEConfig(), MoEConfig(experts=5, top_k=2)])


def ids(batch: int = 2, time: int = 11, seed: int = 5) -> Tensor:
    return torch.randint(13, (batch, time), generator=torch.Generator().manual_seed(seed))


@MOES
def test_shapes_and_counts(moe: MoEConfig | None) -> None:
    model = tiny(moe=moe)
    assert model(ids(2, 7)).shape == (2, 7, 13)
    assert model.parameter_counts() == model.config.parameters()


def test_counts_by_hand() -> None:
    """2 layers, width 4, vocabulary 5: attention 4 x 16, feed-forward 2 x 4 x 16, two norms; three
    taps."""
    dense = GPT(ModelConfig(layers=2, heads=2, width=4, vocab_size=5, context=3))
    assert dense.parameter_counts() == (2 * (64 + 128 + 8) + 2 * 20 + 4 + 12,) * 2
    moe = GPT(dense.config.__class__(layers=2, heads=2, width=4, vocab_size=5, moe=MoEConfig()))
    assert moe.parameter_counts() == (
        2 * (64 + 4 * 128 + 16 + 8) + 2 * 20 + 4 + 12,
        2 * (64 + 128 + 16 + 8) + 2 * 20 + 4 + 12,
    )


@MOES
@pytest.mark.parametrize("conv_size", [1, 4])
def test_tied_embeddings_are_one_parameter(moe: MoEConfig | None, conv_size: int) -> None:
    own, tied = (tiny(moe=moe, conv_size=conv_size, tie_embeddings=t) for t in (False, True))
    assert tied.parameter_counts() == tied.config.parameters()
    assert own.config.parameters()[0] - tied.config.parameters()[0] == 13 * 12
    assert sum(t.numel() for t in tied.state_dict().values()) == tied.config.stored_numbers()
    assert own.state_dict().keys() - tied.state_dict().keys() == {"head"}
    assert tied.head_weight is tied.embed.weight
    assert own.head_weight is own.head


@MOES
def test_the_gradient_of_tied_embeddings_is_that_of_both_places(moe: MoEConfig | None) -> None:
    """An untied model with the same weights in both places has the same logits."""
    own, tied = tiny(moe=moe), tiny(moe=moe, tie_embeddings=True)
    text, weight = ids(), tied.embed.weight.detach()
    own.load_state_dict({**tied.state_dict(), "head": weight.clone()})
    torch.testing.assert_close(own(text), tied(text), atol=1e-6, rtol=1e-6)
    for model in (own, tied):
        F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()).backward()
    assert own.head is not None
    assert own.head.grad is not None
    assert own.embed.weight.grad is not None
    wanted = own.embed.weight.grad + own.head.grad
    torch.testing.assert_close(tied.embed.weight.grad, wanted, atol=1e-6, rtol=1e-6)
    for name, parameter in tied.blocks.named_parameters():
        other = own.blocks.get_parameter(name)
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-6, rtol=1e-5)


@MOES
def test_a_token_changes_nothing_before_it(moe: MoEConfig | None) -> None:
    model, x = tiny(moe=moe).eval(), ids()
    y = x.clone()
    y[:, 6] = (y[:, 6] + 1) % 13
    before, after = model(x), model(y)
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-6, rtol=0)
    assert ((before[:, 6:] - after[:, 6:]).abs().amax(-1) > 1e-4).all()


@MOES
def test_explicit_attention_equals_fused(moe: MoEConfig | None) -> None:
    model, x = tiny(moe=moe).eval(), ids()
    trace = model.run(x, explicit=True)
    torch.testing.assert_close(trace.logits, model(x), atol=1e-5, rtol=0)
    assert [w.shape for w in trace.attention] == [(2, 2, 11, 11)] * 3
    for weights in trace.attention:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 11))
        assert not weights.triu(1).any()


@MOES
@TIES
def test_cached_equals_uncached(moe: MoEConfig | None, *, tied: bool) -> None:
    model, x = tiny(moe=moe, tie_embeddings=tied).eval(), ids()
    cache = Cache(model.config)
    pieces = [model.run(part, cache).logits for part in x.split([3, 1, 2, 1, 4], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), model(x), atol=1e-5, rtol=0)


def test_past_the_context_the_window_slides() -> None:
    """One layer sees exactly the last 11 tokens, at any position and in pieces of any length."""
    model = tiny(layers=1, conv_size=1).eval()
    text = ids(1, 40)
    one, many = Cache(model.config), Cache(model.config)
    single = torch.cat([model.run(text[:, i : i + 1], one).logits for i in range(40)], 1)
    chunks = torch.cat([model.run(part, many).logits for part in text.split(7, dim=1)], 1)
    torch.testing.assert_close(single, chunks, atol=1e-5, rtol=0)
    for end in (11, 23, 40):
        full = model(text[:, end - 11 : end])
        torch.testing.assert_close(single[:, end - 1], full[:, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_short_convolution_against_a_loop(size: int) -> None:
    model, text = tiny(conv_size=size), ids(3, 7)
    found = model.conv(model.embed, text, None)
    taps = [] if model.conv.taps is None else list(model.conv.taps)
    for row, line in zip(found, text, strict=True):
        for t, mixed in enumerate(row):
            wanted = model.embed(line[t])
            for before, tap in enumerate(taps[:t], 1):
                wanted = wanted + tap * model.embed(line[t - before])
            torch.testing.assert_close(mixed, wanted)


@pytest.mark.parametrize("sizes", [[1] * 7, [2, 1, 4], [5, 2], [7]])
def test_short_convolution_continues_a_cache(sizes: list[int]) -> None:
    model, text = tiny(conv_size=4), ids(2, 7)
    cache, found = Cache(model.config), []
    for part in text.split(sizes, 1):
        found.append(model.conv(model.embed, part, cache))
        cache.position += part.shape[1]
    torch.testing.assert_close(torch.cat(found, 1), model.conv(model.embed, text, None))


def test_rotation_depends_on_the_distance_alone() -> None:
    model = tiny()
    query, key = torch.randn(2, 1, 1, 1, 1, 6).unbind(0)
    near = apply_rope(query, model.rotary(3, 1)) * apply_rope(key, model.rotary(1, 1))
    far = apply_rope(query, model.rotary(1003, 1)) * apply_rope(key, model.rotary(1001, 1))
    torch.testing.assert_close(near.sum(), far.sum(), atol=1e-4, rtol=1e-4)


def test_rotation_by_complex_and_by_real_numbers() -> None:
    x, rope = torch.randn(2, 7, 2, 3, 6), tiny().rotary(4, 7)
    real = apply_rope(x.double(), rope).float()
    torch.testing.assert_close(apply_rope(x, rope), real, atol=1e-6, rtol=1e-6)


def test_attention_weights_against_a_loop() -> None:
    query, key = torch.randn(1, 2, 3, 6), torch.randn(1, 2, 7, 6)
    weights = attention_weights(query, key, window=4)
    for head in range(2):
        for t in range(3):
            own = t + 4
            keys = range(own - 3, own + 1)
            scores = [float(query[0, head, t] @ key[0, head, s]) / math.sqrt(6) for s in keys]
            total = sum(math.exp(s) for s in scores)
            wanted = [0.0] * 7
            for s, score in zip(keys, scores, strict=True):
                wanted[s] = math.exp(score) / total
            torch.testing.assert_close(weights[0, head, t], torch.tensor(wanted))
    value = torch.randn(1, 2, 7, 6)
    torch.testing.assert_close(attend(query, key, value, 4), weights @ value)


@pytest.mark.parametrize(("new", "total", "window"), [(7, 7, 7), (3, 7, 4), (5, 519, 519)])
def test_attention_in_bf16(new: int, total: int, window: int) -> None:
    query, key, value = (torch.randn(2, 3, n, 6).bfloat16() for n in (new, total, total))
    found = attend(query, key, value, window)
    wanted = attention_weights(query, key, window) @ value.float()
    assert (found.float() - wanted).norm() < 0.02 * wanted.norm()


@MOES
def test_gradients_against_finite_differences_in_float64(moe: MoEConfig | None) -> None:
    """Of the loss with the router's own, along a random direction of every parameter."""
    model, text = tiny(moe=moe).double(), ids(3, 11)

    def loss() -> Tensor:
        trace = model.run(text[:, :-1])
        assert trace.logits.dtype == torch.float64
        own = F.cross_entropy(trace.logits.flatten(0, 1), text[:, 1:].flatten())
        return own + sum(balance_loss(r) + z_loss(r) for r in trace.routing)

    loss().backward()
    for name, parameter in model.named_parameters():
        direction, start, values = torch.randn_like(parameter), parameter.detach().clone(), []
        for distance in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.copy_(start + distance * direction)
                values.append(float(loss()))
        with torch.no_grad():
            parameter.copy_(start)
        assert parameter.grad is not None
        wanted = (values[0] - values[1]) / 2e-6
        found = float((parameter.grad * direction).sum())
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-8), name


@MOES
def test_every_path_of_a_model_of_doubles_agrees(moe: MoEConfig | None) -> None:
    model, text = tiny(moe=moe).double().eval(), ids()
    cache = Cache(model.config)
    pieces = [model.run(part, cache).logits for part in text.split([3, 1, 7], dim=1)]
    for found in (torch.cat(pieces, 1), model.run(text, explicit=True).logits):
        torch.testing.assert_close(found, model(text), atol=1e-12, rtol=0)


def test_too_many_tokens() -> None:
    with pytest.raises(TinyGPTError, match="12 tokens are more than the model's context of 11"):
        tiny()(ids(1, 12))


def test_untrained_model_predicts_uniformly() -> None:
    model = GPT(ModelConfig(vocab_size=13, layers=2))
    assert model(ids()).softmax(-1).log().std() < 0.3


@pytest.mark.parametrize(("width", "vocabulary"), [(64, 65), (128, 8192), (2048, 8192)])
@pytest.mark.parametrize("conv_size", [1, 4])
def test_tied_embeddings_begin_with_the_loss_of_a_uniform_prediction(
    width: int, vocabulary: int, conv_size: int
) -> None:
    """Though the logit of the token before is larger than the others."""
    torch.manual_seed(3)
    config = ModelConfig(layers=1, width=width, vocab_size=vocabulary, conv_size=conv_size)
    model = GPT(replace(config, tie_embeddings=True))
    text = torch.randint(vocabulary, (3, 32))
    loss = F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(vocabulary), abs=0.1)


def test_dropout_only_while_training() -> None:
    model = tiny(dropout=0.5)
    assert not torch.equal(model(ids()), model(ids()))
    model.eval()
    assert torch.equal(model(ids()), model(ids()))


@MOES
def test_inspection(moe: MoEConfig | None) -> None:
    model, x = tiny(moe=moe), ids(1, 7)[0]
    found = inspect_tokens(model, x)
    assert model.training
    assert found.attention.shape == (3, 2, 7, 7)
    torch.testing.assert_close(found.logits, model.eval()(x[None])[0], atol=1e-5, rtol=0)
    if moe is None:
        assert found.router is None
        assert found.choice is None
    else:
        assert found.router is not None
        assert found.choice is not None
        assert found.router.shape == (3, 7, moe.experts)
        assert found.choice.shape == (3, 7, moe.top_k)
        assert torch.equal(found.router.topk(moe.top_k).indices, found.choice)


@pytest.mark.parametrize("wrong", [[], [1] * 12])
def test_inspection_of_too_little_or_too_much(wrong: list[int]) -> None:
    with pytest.raises(TinyGPTError):
        inspect_tokens(tiny(), wrong)


@pytest.mark.parametrize("rows", [1, 13, 16])
def test_rows_added_for_the_matmul_change_nothing(rows: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 7, 5, requires_grad=True), torch.randn(rows, 5, requires_grad=True)
    found, wanted = padded_linear(x, weight, 8), F.linear(x, weight)
    torch.testing.assert_close(found, wanted)
    grad = torch.randn(2, 7, rows)
    for one, other in zip(
        torch.autograd.grad(found, [x, weight], grad),
        torch.autograd.grad(wanted, [x, weight], grad),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
