"""A new run; a mistake leaves nothing on disk."""

from pathlib import Path

import pytest

from tests.helpers.models import TEXT
from tests.helpers.training import SHAPE, make_session
from tinygpt.config import build
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.errors import ConfigError, CorpusError, RunError
from tinygpt.training import begin


def test_nothing_is_made_for_a_mistake(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("abc" * 5)
    with pytest.raises(CorpusError, match="15 characters"):
        begin(build(SHAPE), read_text(short), str(tmp_path / "out"), "run", [])
    with pytest.raises(ConfigError, match=r"--train\.sample-prompt"):
        make_session(tmp_path, train__sample_prompt="é")
    with pytest.raises(RunError, match="cannot name a run"):
        begin(build(SHAPE), Corpus("a", TEXT, "0", ""), str(tmp_path / "out"), "a/b", [])
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()
