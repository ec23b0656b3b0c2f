"""A run directory, and its writer with a clock that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.run_files import CONFIG, NOW
from tinygpt.run import RunWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "nano"


@pytest.fixture
def writer(folder: Path) -> Iterator[RunWriter]:
    with RunWriter.create(folder, CONFIG, "{}", clock=lambda: NOW) as made:
        yield made
