"""A run to generate with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a live run of both variants, untrained."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    out = tmp_path / "runs"
    with make_run(out, "one"):
        for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
            checkpoint.save(out / "one", snapshot(variant, step))
        save_tokenizer(TOKENIZER, out / "one" / "tokenizer.json")
        yield out
