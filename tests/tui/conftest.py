"""What tests of the app share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import idling
from tests.helpers.scenes import make_run
from tests.helpers.waiting import PATIENCE
from tinygpt.run import RunWriter
from tinygpt_tui.launch import trainer_process


@pytest.fixture(autouse=True)
def _pilots_wait_for_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are pressed as soon as the previous one has had its effect."""
    idling.install(monkeypatch)


@pytest.fixture
def live(tmp_path: Path) -> RunWriter:
    """A run that looks as if this process trained it."""
    return make_run(tmp_path, "alive")


@pytest.fixture
def _trainers_end() -> Iterator[None]:
    """Wait for the trainers that a test started."""
    yield
    for child in trainer_process._CHILDREN.values():
        child.process.wait(PATIENCE)
