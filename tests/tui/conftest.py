"""What tests of the app share."""

from pathlib import Path

import pytest

from tests.helpers.scenes import make_run
from tinygpt.run import RunWriter


@pytest.fixture
def live(tmp_path: Path) -> RunWriter:
    """A run that this process trains, as far as anyone can see."""
    return make_run(tmp_path, "alive")
