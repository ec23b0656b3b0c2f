"""Settings from flags and files."""

import os
from pathlib import Path

import pytest

from tests.helpers.trainer import SHAPE, run_training
from tinygpt.command.options import settings, training_parser
from tinygpt.errors import ConfigError
from tinygpt.run import read_config


def test_settings_of_a_file_go_before_presets_and_after_flags(
    corpus_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(
        f'preset = "micro"\nsteps = 3\ndata = "{corpus_file}"\n'
        "[gpt]\nlayers = 1\nheads = 2\nwidth = 8\n"
    )
    arguments = ("--config", "small.toml", "--gpt.width", "12", "--gpt.context", "7")
    done = run_training(tmp_path, *arguments, "--name", "a", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    config = read_config(tmp_path / "checkpoints" / "a")
    assert config["preset"] == "micro"
    assert (config["steps"], config["gpt"]["layers"], config["gpt"]["width"]) == (3, 1, 12)


def test_an_old_flag_still_works_but_is_not_listed() -> None:
    parser = training_parser("x", "")
    assert settings(parser.parse_args(["--train.film", "7"])) == {"train.snapshots": "7"}
    assert "--train.film" not in parser.format_help()


def test_the_settings_of_another_run(corpus_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text").symlink_to(corpus_file)
    arguments = ("--data", "text", *SHAPE, "--steps", "3", "--name")
    assert run_training(tmp_path, *arguments, "a").returncode == 0
    stored = Path("runs", "a", "run.toml")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "marked.toml").write_text(
        "\ufeff" + (tmp_path / stored).read_text(encoding="utf-8"), encoding="utf-8"
    )
    for folder, file, name in ((".", str(stored), "b"), ("elsewhere", "marked.toml", "c")):
        out = str(tmp_path / "runs")
        given = ("--config", file, "--out", out, "--name", name)
        done = run_training(tmp_path / folder, *given)
        assert done.returncode == 0, done.stderr
        first, again = (read_config(tmp_path / "runs" / run) for run in ("a", name))
        assert again.pop("argv") != first.pop("argv")
        del first["begun"], again["begun"], first["corpus"]["source"], again["corpus"]["source"]
        assert again == first


@pytest.mark.parametrize(
    ("line", "name"), [("corpuss = 1", "corpuss"), ('corpus = "x.txt"', "corpus")]
)
def test_only_what_a_run_records_is_skipped(tmp_path: Path, line: str, name: str) -> None:
    (tmp_path / "run.toml").write_text(line)
    options = training_parser("x", "").parse_args(["--config", str(tmp_path / "run.toml")])
    with pytest.raises(ConfigError, match=f"unknown setting '{name}'"):
        settings(options)


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "wide.toml").write_text("steps = 3", encoding="utf-16")
    for file, problem in (
        ("pipe", "cannot be read: it is not a regular file"),
        ("/dev/zero", "cannot be read: it is not a regular file"),
        ("wide.toml", "is UTF-16 text: save it as UTF-8"),
    ):
        done = run_training(tmp_path, "--config", file)
        assert (done.returncode, done.stderr) == (2, f"--config {file} {problem}\n")
