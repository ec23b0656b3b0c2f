"""Measures of generated text, against counting by hand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tinygpt.analysis.text_statistics import Reference, ngrams, words

CORPUS = "The king's men go to the war.\nO, go!\nThe war is won by the king's men."


def test_words_are_letters_and_inner_apostrophes() -> None:
    assert words("O, the king's 'tis -- co-ward\nNaïve 3rd ⏎") == [
        "o",
        "the",
        "king's",
        "tis",
        "co",
        "ward",
        "naïve",
        "rd",
    ]


def test_shares_are_of_all_texts_together() -> None:
    found = Reference(CORPUS).statistics(["the king's men go to dinner now", "The King's men go"])
    # Without the last word: the king's men go to dinner | the king's men
    assert found.words == 9
    assert found.known_words == 8 / 9
    assert found.copied_ngrams == 2 / 3  # the king's men go, king's men go to; not men go to dinner
    assert found.distinct == {1: 6 / 9, 2: 5 / 7, 3: 4 / 5}
    assert found.repeated == 0.0
    assert Reference(CORPUS).statistics(["the men"], cut=False).words == 2


def test_what_was_said_before_is_repeated() -> None:
    found = Reference(CORPUS).statistics(["a b c d a b c d a b c d end"])
    assert found.repeated == 5 / 9
    assert found.known_words == found.copied_ngrams == 0.0


def test_nothing_to_measure_is_no_number() -> None:
    found = Reference(CORPUS).statistics(["", "one"])
    assert found.words == 0
    assert math.isnan(found.known_words)
    assert math.isnan(found.copied_ngrams)
    assert all(math.isnan(share) for share in found.distinct.values())


@given(st.text(), st.text())
def test_every_text_has_shares(corpus: str, text: str) -> None:
    found = Reference(corpus).statistics([text])
    shares = [found.known_words, found.copied_ngrams, found.repeated, *found.distinct.values()]
    assert all(math.isnan(share) or 0 <= share <= 1 for share in shares)
    assert Reference(text).statistics([text]).known_words == 1.0 or not found.words


@given(st.lists(st.sampled_from("abc"), max_size=9), st.integers(1, 5))
def test_ngrams(items: list[str], n: int) -> None:
    expected = [tuple(items[i : i + n]) for i in range(len(items) - n + 1)]
    assert list(ngrams(items, n)) == expected
