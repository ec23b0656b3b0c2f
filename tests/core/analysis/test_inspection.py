"""Looking inside: the explicit path is the fused one, and both are what NumPy computes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.models import tiny
from tinygpt import checkpoint, load
from tinygpt.analysis import inspection
from tinygpt.analysis.inspection import inspect_tokens, surprisal
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import attend, attention_weights
from tinygpt.model.moe import MoE
from tinygpt.model_config import MoEConfig
from tinygpt.run.meta import META, WEIGHTS

Array = NDArray[np.float64]
MOES = pytest.mark.parametrize("moe", [None, MoEConfig(), MoEConfig(experts=5, top_k=2)])


def some_ids(count: int = 7, seed: int = 2) -> torch.Tensor:
    return torch.randint(13, (count,), generator=torch.Generator().manual_seed(seed))


def test_explicit_weights_times_values_are_the_fused_kernels() -> None:
    query, key, value = torch.randn(3, 5, 2, 7, 6, generator=torch.Generator().manual_seed(1))
    explicit = attention_weights(query, key, 11) @ value
    torch.testing.assert_close(explicit, attend(query, key, value, 11), atol=1e-5, rtol=0)


@MOES
@pytest.mark.parametrize("count", [1, 7, 11])
def test_rows_sum_to_one_and_the_future_is_exactly_zero(moe: MoEConfig | None, count: int) -> None:
    attention = inspect_tokens(tiny(moe=moe), some_ids(count)).attention
    assert attention.shape == (3, 2, count, count)
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 2, count), atol=1e-6, rtol=0)
    assert torch.equal(attention.triu(1), torch.zeros_like(attention))
    assert bool((attention >= 0).all())


@MOES
def test_inspecting_changes_no_logit(moe: MoEConfig | None) -> None:
    model, ids = tiny(moe=moe, dropout=0.5).eval(), some_ids()
    before = model(ids[None])[0]
    found = inspect_tokens(model, ids)
    torch.testing.assert_close(found.logits, before.detach(), atol=1e-5, rtol=0)
    assert torch.equal(model(ids[None])[0], before)
    assert torch.equal(inspect_tokens(model.train(), ids).attention, found.attention)
    assert model.training


def test_more_tokens_than_the_memory_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """6 maps of 7 x 7 weights take 3,528 bytes."""
    monkeypatch.setattr(inspection, "total_memory", lambda _: 3528)
    assert inspect_tokens(tiny(), some_ids(7)).attention.shape == (3, 2, 7, 7)
    with pytest.raises(TinyGPTError, match="of 8 tokens do not fit into memory: inspect at most 7"):
        inspect_tokens(tiny(), some_ids(8))


def test_expert_is_the_most_probable_of_those_selected() -> None:
    model = tiny(moe=MoEConfig(experts=5, top_k=2))
    for block in model.blocks:
        assert isinstance(block.feed, MoE)
        block.feed.router.bias[3] += 2  # selected first by everyone, however unlikely
    found = inspect_tokens(model, some_ids())
    assert found.router is not None
    assert found.choice is not None
    assert found.expert is not None
    assert found.top1_probability is not None
    assert bool((found.choice[..., 0] == 3).all())
    for layer in range(3):
        for t in range(7):
            probabilities = {
                e: float(found.router[layer, t, e]) for e in found.choice[layer, t].tolist()
            }
            expert = max(probabilities, key=lambda e: probabilities[e])
            assert found.expert[layer, t] == expert
            assert float(found.top1_probability[layer, t]) == probabilities[expert]
    dense = inspect_tokens(tiny(), some_ids())
    assert (dense.expert, dense.top1_probability) == (None, None)


def test_surprisal_is_the_loss_token_by_token() -> None:
    model, ids = tiny(), some_ids()
    found = surprisal(inspect_tokens(model, ids).logits, ids)
    assert found.shape == (7,)
    assert found[0].isnan()
    wanted = torch.nn.functional.cross_entropy(model(ids[None])[0, :-1], ids[1:], reduction="none")
    torch.testing.assert_close(found[1:], wanted.detach(), atol=1e-5, rtol=0)
    assert surprisal(torch.randn(1, 13), [5]).isnan().tolist() == [True]
    assert not surprisal(torch.eye(2) * 1e9, [1, 0])[1].signbit()


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_a_saved_model_equals_one_in_plain_numpy(tmp_path: Path, variant: str) -> None:
    path = checkpoint.save(tmp_path, snapshot(variant))
    save_tokenizer(TOKENIZER, tmp_path / "tokenizer.json")
    ids = some_ids(11)
    found = inspect_tokens(load(path).model, ids)
    weights = {k: v.astype(np.float64) for k, v in load_file(path / WEIGHTS).items()}
    shape = json.loads((path / META).read_text())["model"]
    attention, router, logits = plain_model(weights, shape, ids.tolist())
    np.testing.assert_allclose(found.attention, attention, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5, rtol=0)
    if variant == "moe":
        assert found.router is not None
        assert found.choice is not None
        np.testing.assert_allclose(found.router, router, atol=1e-5, rtol=0)
        assert found.choice[..., 0].tolist() == router.argmax(-1).tolist()


# Written from the papers and the names of the tensors, with loops, sharing nothing with the model.


def plain_model(
    weights: dict[str, Array], shape: dict[str, Any], ids: list[int]
) -> tuple[Array, Array, Array]:
    """Attention (L, H, T, T), router (L, T, E or 0) and logits (T, V)."""
    plain = weights["embed.weight"][ids]
    x = plain.copy()
    for before, tap in enumerate(weights["conv.taps"], 1):
        for t in range(before, len(ids)):
            x[t] += tap * plain[t - before]
    attention, router = [], []
    for layer in range(shape["layers"]):
        mine = {
            name.removeprefix(f"blocks.{layer}."): weight
            for name, weight in weights.items()
            if name.startswith(f"blocks.{layer}.")
        }
        y, attended = plain_attention(mine, shape, norm(x) * mine["norm_attention.weight"])
        x = x + y
        y, probabilities = plain_feed(mine, norm(x) * mine["norm_feed.weight"])
        x = x + y
        attention.append(attended)
        router.append(probabilities)
    logits = (norm(x) * weights["norm.weight"]) @ weights["head"].T
    return np.array(attention), np.array(router), logits


def plain_attention(mine: dict[str, Array], shape: dict[str, Any], x: Array) -> tuple[Array, Array]:
    width = shape["width"] // shape["heads"]
    query_matrix, key_matrix = mine["attention.query_key"]
    attended, outputs = [], []
    for head in range(shape["heads"]):
        part = slice(head * width, (head + 1) * width)
        query = turned(norm(x @ query_matrix[part].T), shape["rope_base"])
        key = turned(norm(x @ key_matrix[part].T), shape["rope_base"])
        value = x @ mine["attention.value"][part].T
        rows = np.zeros((len(x), len(x)))
        for q in range(len(x)):
            rows[q, : q + 1] = softmax(key[: q + 1] @ query[q] / math.sqrt(width))
        attended.append(rows)
        outputs.append(rows @ value)
    return np.concatenate(outputs, axis=1) @ mine["attention.out"].T, np.array(attended)


def plain_feed(mine: dict[str, Array], x: Array) -> tuple[Array, Array]:
    if "feed.router.gate" not in mine:
        return gelu(x @ mine["feed.up"].T) @ mine["feed.down"].T, np.zeros((len(x), 0))
    probabilities = np.array([softmax(mine["feed.router.gate"] @ row) for row in x])
    y = np.zeros_like(x)
    for t, row in enumerate(x):
        expert = int(np.argmax(probabilities[t] + mine["feed.router.bias"]))
        hidden = gelu(mine["feed.up"][expert] @ row)
        y[t] = probabilities[t, expert] * (mine["feed.down"][expert] @ hidden)
    return y, probabilities


def norm(x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    normed: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normed


def turned(x: Array, base: float) -> Array:
    y, width = x.copy(), x.shape[1]
    for position in range(len(x)):
        for pair in range(width // 2):
            angle = position * base ** (-2 * pair / width)
            a, b = x[position, 2 * pair : 2 * pair + 2]
            y[position, 2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            y[position, 2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
    return y


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    share: Array = e / e.sum()
    return share


def gelu(x: Array) -> Array:
    below: Array = np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2)(x)
    return x * below
