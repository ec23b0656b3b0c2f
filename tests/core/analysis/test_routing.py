"""Counts of routing, against counting one by one."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.models import tiny
from tinygpt.analysis import routing
from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.data.tokenizer import END_OF_TEXT
from tinygpt.model_config import MoEConfig
from tinygpt.training.evaluation import RoutingTally

L, T, E, V = 3, 29, 5, 13
RANDOM = np.random.default_rng(1)
IDS = RANDOM.integers(V, size=T)
ONE = RANDOM.integers(E, size=(L, T))
TWO = np.stack([RANDOM.permuted(np.arange(E)) for _ in range(L * T)])[:, :2].reshape(L, T, 2)


@pytest.mark.parametrize("choice", [ONE, TWO], ids=["one", "two"])
def test_tokens_and_pairs_are_counted(choice: NDArray[np.int64]) -> None:
    chosen = choice.reshape(L, T, -1)
    expert_counts = np.zeros((L, E, V), int)
    pairs = np.zeros((L - 1, E, E), int)
    for t in range(T):
        for layer in range(L):
            for a in chosen[layer, t]:
                expert_counts[layer, a, IDS[t]] += 1
                for b in chosen[layer + 1, t] if layer + 1 < L else ():
                    pairs[layer, a, b] += 1
    found = routing.expert_counts(choice, IDS, E, V)
    assert found.dtype == np.int64
    assert found.tolist() == expert_counts.tolist()
    assert routing.pairs(choice, E).tolist() == pairs.tolist()


def test_mutual_information_by_its_definition() -> None:
    counts = RANDOM.integers(0, 9, size=(L, E, V))
    counts[1, 2] = 0  # a dead expert
    found = routing.mutual_information(counts)
    for layer in range(L):
        p = counts[layer] / counts[layer].sum()
        bits = sum(
            p[e, v] * math.log2(p[e, v] / (p[e].sum() * p[:, v].sum()))
            for e, v in np.ndindex(E, V)
            if p[e, v]
        )
        assert found[layer] == pytest.approx(bits)


def test_mutual_information_is_all_or_nothing() -> None:
    one_each = np.diag([7, 7, 7, 7])
    assert routing.mutual_information([one_each]) == pytest.approx([2.0])
    assert routing.mutual_information([np.ones((4, 6))]) == pytest.approx([0.0], abs=1e-12)


def test_one_layer_has_no_pairs() -> None:
    assert routing.pairs(ONE[:1], E).shape == (0, E, E)


def test_agreement_is_a_share_per_layer() -> None:
    other = ONE.copy()
    other[1, :7] = (other[1, :7] + 1) % E
    assert routing.agreement(ONE, other).tolist() == [1.0, 1 - 7 / T, 1.0]


@given(st.lists(st.characters(), unique=True, min_size=1))
def test_classes_are_a_partition(vocabulary: list[str]) -> None:
    found = routing.classes(vocabulary)
    assert tuple(found)[: len(routing.CLASSES)] == routing.CLASSES
    assert sorted(np.concatenate(list(found.values()))) == list(range(len(vocabulary)))


def test_classes_of_characters() -> None:
    vocabulary = list("\n !Aaez09Éé\t")
    found = routing.classes(vocabulary)
    assert {name: [vocabulary[i] for i in ids] for name, ids in found.items()} == {
        "vowel": ["a", "e"],
        "consonant": ["z"],
        "capital": ["A"],
        "digit": ["0", "9"],
        "space": [" "],
        "newline": ["\n"],
        "punctuation": ["!"],
        "other": ["É", "é", "\t"],
    }


def test_characters_beyond_latin_are_classed_by_script() -> None:
    vocabulary = [*"aé日々あアー\uff71\u03b1\uff0c\u3000", END_OF_TEXT]
    found = routing.classes(vocabulary)
    assert {name: [vocabulary[i] for i in ids] for name, ids in found.items() if len(ids)} == {
        "vowel": ["a"],
        "punctuation": ["\uff0c"],
        "other": ["é", "\u3000"],
        "cjk": ["日", "々"],
        "end of text": [END_OF_TEXT],
        "greek": ["\u03b1"],
        "hiragana": ["あ"],
        "katakana": ["ア", "ー", "\uff71"],
    }


def test_lift_compares_with_all_tokens() -> None:
    counts = np.array([[[6, 2, 0], [2, 6, 0], [0, 0, 0]]])
    found = routing.lift(counts)
    np.testing.assert_allclose(found[0, :2, :2], [[1.5, 0.5], [0.5, 1.5]])
    assert np.isnan(found[0, 2]).all()
    assert np.isnan(found[0, :, 2]).all()
    joined = routing.class_counts(counts, {"ab": np.array([0, 1]), "b": np.array([1])})
    assert joined.tolist() == [[[8, 2], [8, 6], [0, 0]]]


def test_load_statistics_equal_those_of_training() -> None:
    model = tiny(moe=MoEConfig(experts=E, top_k=2))
    ids = IDS[:11]
    found = inspect_tokens(model, ids.tolist())
    tally = RoutingTally(model.config)
    tally.add(model.run(torch.as_tensor(ids)[None]).routing)
    wanted = tally.statistics()
    assert found.choice is not None
    counts = routing.expert_counts(found.choice.numpy(), ids, E, V)
    np.testing.assert_allclose(routing.load(counts), wanted.load)
    np.testing.assert_allclose(routing.load_entropy(counts), wanted.entropy)
    np.testing.assert_allclose(routing.worst_over_mean(counts), wanted.worst_over_mean)
    assert routing.dead(counts).tolist() == wanted.dead


def test_dead_experts_and_even_ones() -> None:
    even = np.ones((1, E, V), np.int64)
    assert routing.load_entropy(even)[0] == pytest.approx(math.log(E))
    assert routing.worst_over_mean(even)[0] == pytest.approx(1)
    alone = even * np.eye(E, dtype=np.int64)[0][:, None]
    assert (routing.load_entropy(alone)[0], routing.worst_over_mean(alone)[0]) == (0, E)
    assert routing.dead(alone).tolist() == [E - 1]
    assert not np.signbit(routing.load_entropy(alone)).any()


def test_import_brings_no_torch() -> None:
    script = "import sys, tinygpt.analysis.routing; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (" the", "word start"),
        ("ing", "word part"),
        ("'s", "word part"),
        (" été", "word start"),
        (" 12", "number"),
        ("...", "punctuation"),
        ("  ", "space"),
        (" \n\n", "newline"),
        ("<0xE2>", "bytes"),
        (" <0xE2>", "bytes"),
        ("名前", "cjk"),
        (" Друзья", "cyrillic"),
        ("ねこ", "hiragana"),
        ("ー\uff7d", "katakana"),
        ("\uff21\uff22", "word part"),
        (END_OF_TEXT, "end of text"),
    ],
)
def test_the_class_of_longer_tokens(token: str, expected: str) -> None:
    assert routing.subword_class(token) == expected
    assert routing.classes(["a", "b", token])[expected].tolist()[-1] == 2


def test_every_longer_token_is_in_exactly_one_class() -> None:
    vocabulary = ["a", " b", "1", "!", "\n", " ", "<0xFF>", "ж", "日本", "¿", "½", "ª"]
    ids = np.concatenate(list(routing.classes(vocabulary).values()))
    assert sorted(ids.tolist()) == list(range(len(vocabulary)))
