"""The command line of several processes, without starting them."""

from argparse import Namespace
from pathlib import Path

import pytest

from tinygpt.command import gpus_option, processes, train
from tinygpt.command.options import training_parser
from tinygpt.errors import ConfigError


def parsed(*words: str) -> Namespace:
    return training_parser("trainer.py", "").parse_args(words)


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5", ""])
def test_a_number_of_gpus_or_all(text: str) -> None:
    with pytest.raises(ConfigError, match="neither a number of GPUs nor all"):
        gpus_option.check(parsed(f"--gpus={text}"))


def test_options_reach_each_process() -> None:
    words = ["--gpus", "2", "--train-only", "--name", "a", "--steps", "3"]
    options = parsed("--gpus", "2", "--name", "a", "--steps", "3")
    gpus_option.check(options)
    assert processes.command_of(options, words) == ["tinygpt_tui", *words]
    assert [*gpus_option.as_options(options)] == ["--gpus=2"]
    assert [*gpus_option.as_options(parsed())] == []


def test_after_a_wait_the_settings_of_before_it_are_passed_on() -> None:
    options = parsed("--gpus", "2", "--name", "a", "--out", "runs", "--steps", "3", "--after", "b")
    words = ["--train-only", "--config=changed.toml", "--after", "b", "--json", "--gpus", "2"]
    assert processes.command_of(options, words) == [
        *("tinygpt_tui", "--train-only", "--json", "--gpus", "2"),
        *("--steps=3", "--name", "a", "--out", "runs"),
    ]


def test_a_process_is_one_of_several_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    options = parsed("--gpus", "2")
    assert (processes.count(), processes.rank(), processes.speaks()) == (1, 0, True)
    assert processes.are_to_start(options)
    assert not processes.are_to_start(parsed())
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")  # of a launcher with one process
    assert not processes.are_to_start(options)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "5"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert (processes.count(), processes.rank(), processes.speaks()) == (5, 3, False)
    assert not processes.are_to_start(options)
    with pytest.raises(ConfigError, match="--after is for a training that torchrun has not"):
        processes.refuse(parsed("--after", "b"))


@pytest.mark.parametrize("words", [("--seeds", "2"), ("--grid", "seed=1,2"), ("--after", "b")])
def test_what_torchrun_cannot_start_is_refused_before_anything_is_made(
    words: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert train.command(parsed(*words, "--out", str(tmp_path))) == 2
    assert f"{words[0]} is for a training that torchrun has not started" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_resume_takes_auto_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("--resume").resume is True
    assert parsed("--resume", "auto").resume == "auto"
    with pytest.raises(SystemExit):
        parsed("--resume", "nano")
    assert "name the run with --name nano" in capsys.readouterr().err
