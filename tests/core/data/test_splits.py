"""Where the parts of a corpus begin, and the shortest text that has them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.config import LARGEST_KEPT, LARGEST_SHARE, Shares
from tinygpt.data.splits import check_length, split
from tinygpt.errors import CorpusError


@given(st.text())
def test_the_parts_are_the_whole(text: str) -> None:
    train, val, test = split(text)
    assert train + val == text
    assert test == ""
    assert len(train) == int(0.9 * len(text))


shares = st.builds(Shares, st.floats(0.01, LARGEST_SHARE), st.floats(0.01, LARGEST_SHARE)).filter(
    lambda kept: sum(kept) <= LARGEST_KEPT
)


@given(st.text(), shares)
def test_a_test_split_is_the_end_and_validation_stays_as_long(text: str, kept: Shares) -> None:
    parts = split(text, kept)
    assert "".join(parts) == text
    assert len(parts[2]) == int(kept.test * len(text))
    assert abs(len(parts[1]) - kept.validation * len(text)) < 2


@given(st.integers(2, 500), shares)
def test_the_shortest_text_with_a_test_split(context: int, kept: Shares) -> None:
    with pytest.raises(CorpusError) as error:
        check_length(context, context, kept)
    named = re.search(r"at least ([\d,]+) characters", str(error.value))
    assert named is not None
    shortest = int(named[1].replace(",", ""))
    check_length(shortest, context, kept)
    with pytest.raises(CorpusError, match="needs"):
        check_length((shortest - 1), context, kept)


def test_the_error_for_a_test_split() -> None:
    with pytest.raises(CorpusError) as error:
        check_length(500, 32, Shares(test=0.02))
    assert str(error.value) == (
        "the corpus has 500 characters, which leaves 10 for the test split, "
        "but a window of --gpt.context 32 needs 33: use a text of at least 1,650 characters "
        "or --gpt.context 9 or a larger --test-share, or 0 for no test"
    )


@given(st.integers(2, 5_000))
def test_the_length_that_the_error_names_is_the_shortest(context: int) -> None:
    shortest = 10 * context + 1
    check_length(shortest, context)
    with pytest.raises(CorpusError, match=f"at least {shortest:,} characters"):
        check_length((shortest - 1), context)


def test_the_context_that_the_error_names_fits() -> None:
    with pytest.raises(CorpusError) as error:
        check_length(113, 32)
    assert str(error.value) == (
        "the corpus has 113 characters, which leaves 12 for the validation split, "
        "but a window of --gpt.context 32 needs 33: "
        "use a text of at least 321 characters or --gpt.context 11"
    )
    check_length(113, 11)


def test_no_context_is_named_where_none_fits() -> None:
    with pytest.raises(CorpusError, match=r"at least 321 characters$"):
        check_length(1, 32)
