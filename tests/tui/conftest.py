"""What tests of the app share."""

from pathlib import Path

import pytest

from tests.helpers.scenes import make_run
from tinygpt.run import RunWriter


@pytest.fixture
def live(tmp_path: Path) -> RunWriter:
    """A run that looks as if this process trained it."""
    return make_run(tmp_path, "alive")
