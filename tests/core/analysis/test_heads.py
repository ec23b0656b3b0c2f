"""Statistics of heads: against sums written out, and heads whose behaviour is known."""

import math

import pytest
import torch
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.analysis import heads
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError
from tinygpt.model_config import ModelConfig

T = 7


def some_attention(layers: int = 3, count: int = 2, tokens: int = T) -> Tensor:
    scores = torch.randn(layers, count, tokens, tokens, generator=torch.Generator().manual_seed(1))
    return scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -math.inf).softmax(-1)


def attending_to(keys: list[int]) -> Tensor:
    """(1, 1, T, T): query q attends only to keys[q]."""
    return torch.eye(len(keys))[keys][None, None]


def test_statistics_are_the_sums_they_say() -> None:
    attention = some_attention()
    found = heads.statistics(attention)
    assert tuple(found) == heads.STATISTICS
    for layer in range(3):
        for head in range(2):
            a = attention[layer, head].tolist()
            seen = [(q, k) for q in range(T) for k in range(q + 1)]
            wanted = {
                "entropy": -sum(a[q][k] * math.log(a[q][k]) for q, k in seen) / T,
                "distance": sum(a[q][k] * (q - k) for q, k in seen) / T,
                "previous": sum(a[q][q - 1] for q in range(1, T)) / (T - 1),
                "self": sum(a[q][q] for q in range(T)) / T,
                "first": sum(a[q][0] for q in range(1, T)) / (T - 1),
            }
            for name, value in wanted.items():
                assert found[name].shape == (3, 2)
                assert found[name][layer, head].item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([0, 0, 1, 2, 3, 4, 5], {"entropy": 0, "distance": 6 / 7, "previous": 1, "self": 1 / 7}),
        ([0, 1, 2, 3, 4, 5, 6], {"entropy": 0, "distance": 0, "previous": 0, "self": 1}),
        ([0, 0, 0, 0, 0, 0, 0], {"distance": 3, "first": 1, "previous": 1 / 6}),
    ],
)
def test_heads_that_do_one_thing(keys: list[int], said: dict[str, float]) -> None:
    found = heads.statistics(attending_to(keys))
    for name, value in said.items():
        assert found[name].item() == pytest.approx(value)
    assert not found["entropy"].signbit().any()


def test_one_token_has_no_previous() -> None:
    found = heads.statistics(torch.ones(3, 2, 1, 1))
    assert found["self"].tolist() == [[1.0, 1.0]] * 3
    assert found["previous"].isnan().all()
    assert found["first"].isnan().all()


def test_copying_heads_are_told_apart() -> None:
    # Of the sequence a b c d e a b c d e; the first half attends to itself.
    first = [0, 1, 2, 3, 4]
    duplicate = heads.copying(attending_to([*first, 0, 1, 2, 3, 4]))
    induction = heads.copying(attending_to([*first, 1, 2, 3, 4, 5]))
    assert {name: x.item() for name, x in duplicate.items()} == {"duplicate": 1, "induction": 0}
    assert {name: x.item() for name, x in induction.items()} == {"duplicate": 0, "induction": 1}


def test_random_tokens_repeat_as_late_as_can_be() -> None:
    found = heads.random_tokens(13, 31, seed=5).tolist()
    assert sorted(found[:13]) == sorted(found[13:26]) == list(range(13))
    assert len(set(found[26:])) == 5
    assert found == heads.random_tokens(13, 31, seed=5).tolist()
    assert found != heads.random_tokens(13, 31, seed=6).tolist()


def test_repeated_uses_the_attention_of_the_model() -> None:
    model = tiny()
    found = heads.repeated(model, 5, seed=3)
    half = heads.random_tokens(13, 5, seed=3)
    attention = inspect_tokens(model, half.repeat(2)).attention
    for layer in range(3):
        for head in range(2):
            a = attention[layer, head]
            duplicate = sum(a[q, q - 5].item() for q in range(5, 10)) / 5
            induction = sum(a[q, q - 4].item() for q in range(5, 10)) / 5
            assert found["duplicate"][layer, head].item() == pytest.approx(duplicate, abs=1e-6)
            assert found["induction"][layer, head].item() == pytest.approx(induction, abs=1e-6)
    assert model.training


@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ({"context": 11}, 5),
        ({"context": 1024, "layers": 12, "heads": 12, "width": 24}, 512),  # as in `small`
        ({"context": 65_536}, 512),
        ({"context": 65_536, "layers": 100, "heads": 64, "width": 128}, 76),
    ],
)
def test_the_repeated_sequence_has_a_bound(shape: dict[str, int], length: int) -> None:
    assert heads.repeated_length(ModelConfig(**shape)) == length  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 6])
def test_lengths_that_cannot_be_repeated(length: int) -> None:
    with pytest.raises(TinyGPTError):
        heads.repeated(tiny(), length)
