"""A run to load checkpoints from."""

from pathlib import Path

import pytest

from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of both variants, untrained: any text follows any other."""
    folder = tmp_path / "runs" / "one"
    make_run(folder.parent, "one").close()
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(folder, snapshot(variant, step, loss=step / 2 + (variant == "moe")))
    save_tokenizer(TOKENIZER, folder / "tokenizer.json")
    return folder
