"""A real engine, and a run that it can open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.engines import EngineProbe
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer


@pytest.fixture(scope="module")
def probe() -> Iterator[EngineProbe]:
    found = EngineProbe()
    yield found
    found.engine.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(tmp_path, snapshot(variant, step, loss=2 - step / 10))
    save_tokenizer(TOKENIZER, tmp_path / "tokenizer.json")
    return tmp_path
