"""The tree of texts: branching, deleting, and what is saved."""

import json
import math

import pytest

from tests.helpers.generated import made, token
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate.tree import Tree, reproducible


def test_branches_walk_and_prune() -> None:
    tree = Tree()
    first = tree.add("ab", SamplingParams(seed=1), "p")
    first.tokens = [token(c) for c in "abc"]
    second = tree.branch(first, 1, 2, SamplingParams(seed=1))
    assert second.text == "a" + first.tokens[1].texts[2]
    assert second.forced == {1}
    assert second.tokens[1].surprisal == pytest.approx(-math.log(0.1))
    assert second.tokens[1].rank == 2
    assert first.text == "abc"
    third = tree.branch(second, 1, 0, SamplingParams(seed=1))
    other = tree.add("x", SamplingParams(), "p")
    assert [(d, t.id) for d, t in tree.walk()] == [
        (0, first.id),
        (1, second.id),
        (2, third.id),
        (0, other.id),
    ]
    assert tree.prune(second) == [second, third]
    assert [t.id for _, t in tree.walk()] == [first.id, other.id]


def test_what_is_saved_says_what_makes_it_again() -> None:
    tree = Tree()
    first = made("abc")
    tree.texts[first.id] = first
    branched = tree.branch(first, 2, 3, first.params)
    found = json.loads(json.dumps(reproducible(branched), allow_nan=False))
    assert found["chosen_by_hand"] == [[2, branched.tokens[2].id]]
    assert (found["prompt"], found["text"]) == ("ab", branched.text)
    assert found["sampling"]["max_new_tokens"] == 3
    assert SamplingParams.from_dict(found["sampling"]).seed == 3
