"""Which checkpoints a new run starts from."""

from pathlib import Path

import pytest

from tests.helpers.checkpoints import snapshot
from tinygpt import checkpoint
from tinygpt.run.initial import InitialRun, find_initial


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    for variant, step, loss in (("dense", 3, 1.5), ("dense", 7, 2.5), ("moe", 5, 2.0)):
        checkpoint.save(folder, snapshot(variant, step, loss))
    return folder


def test_the_best_of_each_variant_or_what_is_named(run: Path) -> None:
    assert find_initial(run) == InitialRun(run, {"dense": 3, "moe": 5})
    assert find_initial(run / "moe") == InitialRun(run, {"moe": 5})
    assert find_initial(run / "dense" / "step-00000007") == InitialRun(run, {"dense": 7})
    assert find_initial(run).checkpoint("dense") == run / "dense" / "step-00000003"


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert find_initial(tmp_path).steps == {}
