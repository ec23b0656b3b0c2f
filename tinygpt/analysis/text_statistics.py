"""Measures of generated text that need no model: known words, repetition, copying.

A word is a run of letters and apostrophes, in lower case; everything else separates words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
COPIED = 4
"""Words of the n-grams that are looked up in the corpus."""
DISTINCT = (1, 2, 3)
"""Words of the n-grams that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStatistics:
    """Of several texts together; a share without a denominator is nan."""

    words: int
    known_words: float
    """Share of the words that occur in the corpus."""
    copied_ngrams: float
    """Share of the n-grams of `COPIED` words that occur in the corpus."""
    distinct: dict[int, float]
    """By n: n-grams of words that differ, over all n-grams (distinct-n, arXiv:1510.03055)."""
    repeated: float
    """Share of the n-grams of `COPIED` words that have occurred earlier in the same text."""


class Reference:
    """The words and the n-grams of a corpus, to compare texts with."""

    def __init__(self, corpus: str) -> None:
        found = words(corpus)
        self.words = frozenset(found)
        self.ngrams = frozenset(ngrams(found, COPIED))

    def statistics(self, texts: Iterable[str], *, cut: bool = True) -> TextStatistics:
        """The statistics of generated texts; with `cut`, their last word does not count, as they
        may end within it."""
        parts = [words(text)[: -1 if cut else None] for text in texts]
        every = [word for part in parts for word in part]
        long = [gram for part in parts for gram in ngrams(part, COPIED)]
        return TextStatistics(
            words=len(every),
            known_words=_share(sum(word in self.words for word in every), len(every)),
            copied_ngrams=_share(sum(gram in self.ngrams for gram in long), len(long)),
            distinct={
                n: _distinct(gram for part in parts for gram in ngrams(part, n)) for n in DISTINCT
            },
            repeated=_share(
                sum(
                    len(grams) - len(set(grams))
                    for part in parts
                    if (grams := [*ngrams(part, COPIED)])
                ),
                len(long),
            ),
        )


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def ngrams(items: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of `n` neighbouring items."""
    return zip(*(items[i:] for i in range(n)), strict=False)


def _distinct(grams: Iterable[tuple[str, ...]]) -> float:
    every = list(grams)
    return _share(len(set(every)), len(every))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
