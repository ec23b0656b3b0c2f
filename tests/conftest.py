"""What several tests share: a tiny corpus and tiny models, of sizes that are distinct primes."""

import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.helpers.models import TEXT

torch.set_num_threads(1)  # a second one costs such small models more than it gives

# A shell lets what it starts in the background ignore Ctrl-C, and so would what the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is not a bug
hypothesis.settings.load_profile("tests")


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    """A text file of 1,197 characters."""
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path
