"""Datasets of Hugging Face without the package; tests/extras/test_hub.py has the rest."""

import sys

import pytest

from tinygpt.data.corpus import find_corpus
from tinygpt.errors import CorpusError


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match=r"pip install 'tinygpt-tui\[datasets\]'"):
        find_corpus("hf:stories")
