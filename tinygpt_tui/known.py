"""Which characters a run's models know: what tabs that take a text ask before the engine does."""

from __future__ import annotations

from pathlib import Path

from tinygpt.data.tokenizer import load_tokenizer
from tinygpt.errors import TinyGPTError
from tinygpt.run import TOKENIZER


def known_characters(run: Path) -> frozenset[str]:
    """Of the run's tokenizer; empty while that cannot be read."""
    try:
        found = load_tokenizer(run / TOKENIZER)
    except TinyGPTError:
        return frozenset()
    return frozenset(found.decode([i]) for i in range(found.vocab_size))


def unknown_characters(text: str, known: frozenset[str]) -> set[str]:
    """The characters of a text that are not `known`; none as long as nothing is."""
    return {c for c in text if c not in known} if known else set()
