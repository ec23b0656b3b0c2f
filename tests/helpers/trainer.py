"""The trainer as a separate process."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import trainer
from tests.helpers.paths import ROOT, python_path
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.run import MetricsReader, TrainRecord, read_status

SHAPE = (
    *("--gpt.layers", "1", "--gpt.heads", "2", "--gpt.width", "12", "--gpt.context", "7"),
    *("--train.batch", "5", "--train.eval-every", "20", "--train.checkpoint-every", "10"),
    *("--train.sample-tokens", "5", "--train.threads", "1", "--device", "cpu", "--out", "runs"),
)


def command(*arguments: str, script: str = "tinygpt_tui") -> list[str]:
    if script == "trainer":
        return [sys.executable, str(ROOT / "trainer.py"), *arguments]
    return [sys.executable, "-m", "tinygpt_tui", "--train-only", *arguments]


@contextmanager
def endless_training(folder: Path, name: str) -> Iterator[Path]:
    """The run directory of a tiny training run in `folder`/runs on its corpus.txt, which goes on
    until the end of the block."""
    arguments = ("--data", "corpus.txt", *SHAPE, "--name", name, "--steps", "1000000")
    with running(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        yield folder / "runs" / name


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": python_path(), "COLUMNS": "120", "TERM": "xterm-256color"}


def run_training(cwd: Path, *arguments: str, script: str = "tinygpt_tui") -> Any:
    """Run it to its end; a `subprocess.CompletedProcess` with text."""
    return _completed(cwd, command(*arguments, script=script))


def run_here(output: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """`run_training` in this process and folder; runs of a group have processes of their own."""
    output.readouterr()
    try:
        status = trainer.main(arguments)
    except SystemExit as end:
        status = int(str(end.code))
    return subprocess.CompletedProcess(arguments, status, *output.readouterr())


def run_pasted(cwd: Path, line: str) -> Any:
    """Run a command that was printed, as a shell does."""
    return _completed(cwd, ["/bin/sh", "-c", line])


def run_printed(cwd: Path, line: str) -> Any:
    """Run a command that was printed, without a shell and by this interpreter."""
    program, *words = shlex.split(line)
    module = ["-m", "tinygpt_tui"] if Path(program).name == "tinygpt-tui" else []
    assert module or Path(program).name == Path(sys.executable).name
    return _completed(cwd, [sys.executable, *module, *words])


def _completed(cwd: Path, words: Sequence[str]) -> Any:
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def piped(
    cwd: Path, words: Sequence[str], **options: Any
) -> "AbstractContextManager[subprocess.Popen[str]]":
    """A process with its output in pipes, killed if it outlives the block."""
    return running(
        words,
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def start_training(
    cwd: Path, *arguments: str, script: str = "tinygpt_tui"
) -> "AbstractContextManager[subprocess.Popen[str]]":
    """Start it; at the end of the block it is killed if it still runs."""
    return piped(cwd, command(*arguments, script=script))


def heartbeats(process: Any, run: Path, number: int, state: str = "running") -> None:
    """Wait for `number` different heartbeats in a state."""
    seen: set[float] = set()

    def enough() -> bool:
        status = read_status(run) if run.exists() else None
        if status is not None and status.state == state:
            seen.add(status.heartbeat)
        return len(seen) >= number

    until(enough, lambda: f"{len(seen)} heartbeats, {read_status(run)}", process)


def has_taken(path: Path, steps: int) -> bool:
    """Whether a run, which may not be there yet, has a record of a step or of a later one."""
    return path.is_dir() and steps_taken(path) >= steps


def steps_taken(path: Path) -> int:
    found = [r.step for r in MetricsReader(path).read() if isinstance(r, TrainRecord)]
    return max(found, default=0)
