"""Commands in messages: they start this program, find the run, and survive the shell."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from tinygpt import hints


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app's script in a virtual environment that is not active, started by its path."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    for name in ("tinygpt-tui", "python"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", [str(folder / "tinygpt-tui")])
    monkeypatch.setenv("PATH", os.defpath)
    return folder / "tinygpt-tui"


def test_the_script_is_named_as_the_shell_finds_it(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("checkpoints", "nano")
    assert hints.open_run(run) == "./env/bin/tinygpt-tui nano"
    monkeypatch.chdir(script.parent)
    assert hints.open_run(tmp_path / run) == f"./tinygpt-tui nano --out {tmp_path / 'checkpoints'}"
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.chdir(tmp_path)
    assert hints.open_run(run) == "tinygpt-tui nano"
    script.unlink()
    assert hints.open_run(run) == "python -m tinygpt_tui nano"
    monkeypatch.setenv("PATH", "")
    assert hints.open_run(run) == "./env/bin/python -m tinygpt_tui nano"


@pytest.mark.usefixtures("script")
def test_a_resume_goes_on_as_the_training_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path("my runs", "a")
    words = ["--resume", "--name", "a", "--out", "my runs"]
    app = "./env/bin/tinygpt-tui"
    assert shlex.split(hints.resume_headless(run)) == [app, "--train-only", *words]
    assert shlex.split(hints.resume_in_app(run)) == [app, "a", "--out", "my runs", "--resume"]
    monkeypatch.setattr(sys, "argv", ["../lab/trainer.py"])
    python = "./env/bin/python"
    assert shlex.split(hints.resume_headless(run)) == [python, "../lab/trainer.py", *words]


@pytest.mark.usefixtures("script")
def test_names_and_prompts_are_quoted() -> None:
    run = Path("checkpoints", "it's new")
    command = hints.generate(run, "-What's $HOME?")
    assert shlex.split(command)[1:] == ["it's new", "--generate=-What's $HOME?"]


@pytest.mark.usefixtures("script")
def test_a_file_with_the_name_of_a_run_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "nano").touch()
    assert hints.open_run(Path("checkpoints", "nano")).endswith(" checkpoints/nano")
