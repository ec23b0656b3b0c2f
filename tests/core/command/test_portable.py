"""Settings that mean the same later, and from any folder."""

from pathlib import Path

import pytest

from tinygpt.command.options import training_parser
from tinygpt.command.portable import as_options, requested
from tinygpt.data.sources import absolute
from tinygpt.errors import ConfigError


@pytest.mark.parametrize("data", ["auto", "tinyshakespeare", "shakespeare-standin", "/a/b.txt"])
def test_a_corpus_that_needs_no_folder_stays(data: str) -> None:
    assert absolute(data) == data


def test_settings_stand_for_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('data = "text.txt"\nsteps = 7\n[optim]\nlearning_rate = 1e-3\n')
    parser = training_parser("test", "")
    words = ["--config", "mine.toml", "--steps", "5", "--preset", "auto", "--train.compile", "yes"]
    found = requested(parser.parse_args(words))
    assert found == {
        "data": str(tmp_path / "text.txt"),
        "steps": 5,
        "optim.learning_rate": 0.001,
        "train.compile": True,
    }
    monkeypatch.chdir("/")
    assert requested(parser.parse_args([*as_options(found)])) == found
    with pytest.raises(ConfigError, match=r"--steps 'x' is not a whole number"):
        requested(parser.parse_args(["--steps", "x"]))
