"""The tree of texts: branching, deleting, and what is saved."""

import json
import math

import pytest

from tests.helpers.generated import made, token
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate import tree as tree_module
from tinygpt_tui.generate.candidates import inspector
from tinygpt_tui.generate.tree import Tree, reproducible, without_candidates
from tinygpt_tui.render.cells import plain


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


def kept(tree: Tree) -> int:
    tokens = {id(token): token for text in tree.texts.values() for token in text.tokens}
    return sum(len(token.ids) for token in tokens.values())


def test_candidates_are_kept_within_a_bound_the_newest_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree_module, "MAX_KEPT", 1700)
    tree = Tree()
    texts = [tree.add("ab", SamplingParams(seed=seed), "p") for seed in range(3)]
    texts[1].job, texts[2].job = 1, 2
    written = ""
    for character in "abcde" * 40:
        for text in texts:
            tree.receive(text, [token(character)])
            assert kept(tree) <= 1700
        written += character
        assert {text.text for text in texts} == {written}
    assert len(texts[2].tokens[-1].ids) == 7
    assert texts[0].dropped > max(texts[1].dropped, texts[2].dropped)
    assert 0 < texts[1].dropped <= texts[2].dropped + 1 <= texts[1].dropped + 2
    assert [text.new_tokens for text in texts] == [200] * 3
    for text in texts:
        few = text.tokens[: text.dropped]
        assert all(token.id in token.ids and len(token.ids) <= 2 for token in few)
        assert all(len(token.ids) == 7 for token in text.tokens[text.dropped :])


def test_a_branch_shares_its_candidates_until_both_lose_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree_module, "MAX_KEPT", 50)
    tree = Tree()
    first = tree.add("ab", SamplingParams(), "p")
    tree.receive(first, [token(c) for c in "abcd"])
    second = tree.branch(first, 3, 1, SamplingParams())
    tree.receive(second, [token(c) for c in "abcd"])
    assert kept(tree) <= 50
    assert (first.text, second.text[:3]) == ("abcd", "abc")
    third = tree.branch(first, 2, 0, SamplingParams())
    assert third.dropped == min(first.dropped, 2)


def test_the_inspector_says_that_candidates_are_not_kept() -> None:
    text = made("abc")
    text.tokens[0] = without_candidates(text.tokens[0])
    text.dropped = 1
    rows = plain(inspector(text, 0, 120, 5, candidate=0))
    assert "other candidates not kept" in rows[0]
    assert "●a" in rows[2]
    assert "not kept" not in plain(inspector(text, 1, 120, 5))[0]


def test_the_text_of_tokens_swapped_by_hand_is_corrected() -> None:
    tree = Tree()
    text = tree.add("", SamplingParams(), "run/dense/step-00000001")
    tree.receive(text, [token("a"), token("b"), token("c")])
    text.correct(["a", "", "é"])
    assert text.text == "aé"
    assert text.corrections == 2
    text.correct(["a"])
    assert text.text == "aé"
    assert text.corrections == 2
