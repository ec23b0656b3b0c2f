"""Settings from flags and files."""

from pathlib import Path

from tests.helpers.trainer import run_training
from tinygpt.command.options import settings, training_parser
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
