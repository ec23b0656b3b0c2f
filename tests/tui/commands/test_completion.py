"""What TAB completes, in the real shells as far as they are installed."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.paths import python_path
from tests.helpers.waiting import PATIENCE
from tinygpt_tui import cli
from tinygpt_tui.commands.completion import runs

BASH = """
eval "$(tinygpt-tui --print-completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMPREPLY=()
_python_argcomplete tinygpt-tui
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "tinygpt-tui --print-completion fish | source; complete --do-complete $argv[1]"


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two runs, one of them in another place, and the command on the PATH."""
    for run in ("checkpoints/first", "checkpoints/second", "elsewhere/third"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "run.toml").touch()
    (tmp_path / "checkpoints" / "no-run").mkdir()
    (tmp_path / "corpus.txt").touch()
    command = tmp_path / "bin" / "tinygpt-tui"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tinygpt_tui "$@"\n')
    command.chmod(0o755)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": python_path(), "HOME": str(folder), "TERM": "xterm"}
    return {**os.environ, **own, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}


def answer(folder: Path, *words: str) -> list[str]:
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0].rstrip() for line in done.stdout.splitlines() if line.strip()]


def bash(folder: Path, line: str) -> list[str]:
    return answer(folder, "bash", "--norc", "-c", BASH, "bash", line)


@needs("bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--pres", ["--preset"]),
        ("--preset n", ["nano"]),
        ("--preset=n", ["nano"]),
        ("--device c", ["cpu", "cuda"]),
        ("--grid gpt.w", ["gpt.width="]),
        ("--step ", ["best", "newest"]),
        ("--data corp", ["corpus.txt"]),
        ("--print-completion ", ["bash", "zsh", "fish"]),
        ("fi", ["first"]),
        ("--out elsewhere th", ["third"]),
        ("--train-only --init-from se", ["second"]),
        ("--no-such-option x --after s", ["second"]),
    ],
)
def test_bash(folder: Path, line: str, expected: Sequence[str]) -> None:
    assert bash(folder, f"tinygpt-tui {line}") == expected


@needs("bash")
def test_options_come_only_after_a_dash(folder: Path) -> None:
    assert {"first", "second"} <= {*bash(folder, "tinygpt-tui ")}
    assert not any(word.startswith("-") for word in bash(folder, "tinygpt-tui "))
    assert {"--generate", "--train.batch", "--export"} <= {*bash(folder, "tinygpt-tui -")}


@needs("fish")
def test_fish(folder: Path) -> None:
    def fish(line: str) -> list[str]:
        return answer(folder, "fish", "--no-config", "-c", FISH, line)

    assert fish("tinygpt-tui --pres") == ["--preset"]
    assert fish("tinygpt-tui --preset n") == ["nano"]
    assert fish("tinygpt-tui --train-only --init-from se") == ["second"]


@needs("zsh")
def test_zsh(folder: Path) -> None:
    """In a terminal, as its completion runs in its line editor alone."""
    (folder / ".zshrc").write_text(
        "PS1='%% '; autoload -U compinit; compinit -u -D\n"
        'eval "$(tinygpt-tui --print-completion zsh)"\necho read""y\n'
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-i"], environment(folder))  # noqa: S606, S607 - as a person does
    try:
        expect(terminal, b"ready")
        os.write(terminal, b"tinygpt-tui --pres\t")
        expect(terminal, b"--preset")
        os.write(terminal, b"m\t")
        expect(terminal, b"micro")
        os.write(terminal, b" --init-from se\t")
        expect(terminal, b"second")
    finally:
        os.close(terminal)  # which hangs up
        os.waitpid(pid, 0)


def expect(terminal: int, text: bytes) -> None:
    """Read until this text appears."""
    seen, end = b"", time.monotonic() + PATIENCE
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, seen
        seen += os.read(terminal, 4096)


def test_an_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--print-completion", "ksh"]) == 2
    said = capsys.readouterr().err
    assert said == ("--print-completion 'ksh' is not one of bash, zsh, fish; did you mean 'zsh'?\n")


def test_runs_are_listed_without_loading_numpy(folder: Path) -> None:
    assert runs(str(folder / "checkpoints")) == ["first", "second"]
    assert runs(str(folder / "nowhere")) == []
    script = (
        "import os, sys\nos._exit = sys.exit\nimport tinygpt_tui.cli\n"
        "try:\n    tinygpt_tui.cli.main([])\n"
        "finally:\n    print([n for n in ('torch', 'numpy', 'textual') if n in sys.modules])"
    )
    line = "tinygpt-tui --init-from f"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**environment(folder), **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "found")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (folder / "found").read_text().split() == ["first"]
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
