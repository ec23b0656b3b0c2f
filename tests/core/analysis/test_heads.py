"""Statistics of heads: against sums written out, and heads whose behaviour is known."""

import math

import pytest
import torch
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.analysis import heads
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError

T = 7


def some_attention(layers: int = 3, count: int = 2, tokens: int = T) -> Tensor:
    scores = torch.randn(layers, count, tokens, tokens, generator=torch.Generator().manual_seed(1))
    return scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -math.inf).softmax(-1)


def looking_at(keys: list[int]) -> Tensor:
    """(1, 1, T, T): query q looks at keys[q] alone."""
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
    found = heads.statistics(looking_at(keys))
    for name, value in said.items():
        assert found[name].item() == pytest.approx(value)


def test_one_token_has_no_previous() -> None:
    found = heads.statistics(torch.ones(3, 2, 1, 1))
    assert found["self"].tolist() == [[1.0, 1.0]] * 3
    assert found["previous"].isnan().all()
    assert found["first"].isnan().all()


def test_chance_is_the_share_of_one_key() -> None:
    found = heads.uniform_baseline(T)
    shares = [1 / (q + 1) for q in range(T)]
    assert found["self"] == pytest.approx(sum(shares) / T)
    assert found["previous"] == found["first"] == pytest.approx(sum(shares[1:]) / (T - 1))
    assert found["entropy"] == pytest.approx(sum(math.log(q + 1) for q in range(T)) / T)
    assert found["distance"] == pytest.approx((T - 1) / 4)
    again = heads.repeated_chance(5)
    assert again["duplicate"] == pytest.approx(sum(1 / (q + 1) for q in range(5, 10)) / 5)
    assert again["induction"] == again["duplicate"]


def test_copying_heads_are_told_apart() -> None:
    # Of the sequence a b c d e a b c d e; the first half looks at itself.
    first = [0, 1, 2, 3, 4]
    duplicate = heads.copying(looking_at([*first, 0, 1, 2, 3, 4]))
    induction = heads.copying(looking_at([*first, 1, 2, 3, 4, 5]))
    assert {name: x.item() for name, x in duplicate.items()} == {"duplicate": 1, "induction": 0}
    assert {name: x.item() for name, x in induction.items()} == {"duplicate": 0, "induction": 1}


def test_random_tokens_repeat_as_late_as_can_be() -> None:
    found = heads.random_tokens(13, 31, seed=5).tolist()
    assert sorted(found[:13]) == sorted(found[13:26]) == list(range(13))
    assert len(set(found[26:])) == 5
    assert found == heads.random_tokens(13, 31, seed=5).tolist()
    assert found != heads.random_tokens(13, 31, seed=6).tolist()


def test_repeated_is_of_the_models_own_attention() -> None:
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


@pytest.mark.parametrize("length", [1, 6])
def test_what_cannot_be_repeated(length: int) -> None:
    with pytest.raises(TinyGPTError):
        heads.repeated(tiny(), length)


def test_rollout_multiplies_layer_by_layer() -> None:
    attention = some_attention()
    found = heads.rollout(attention)
    assert found.shape == (3, T, T)
    wanted = torch.eye(T)
    for layer in range(3):
        mean = (attention[layer, 0] + attention[layer, 1]) / 2
        wanted = (0.5 * mean + 0.5 * torch.eye(T)) @ wanted
        torch.testing.assert_close(found[layer], wanted)
    torch.testing.assert_close(found.sum(-1), torch.ones(3, T))
    assert not found.triu(1).any()
