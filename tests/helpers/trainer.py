"""The trainer as a separate process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT
from tests.helpers.waiting import PATIENCE
from tinygpt.run import MetricsReader, TrainRecord

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
    with subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield folder / "runs" / name
        finally:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm-256color"}


def run_training(cwd: Path, *arguments: str, script: str = "tinygpt_tui") -> Any:
    """Run it to its end; a `subprocess.CompletedProcess` with text."""
    return subprocess.run(
        command(*arguments, script=script),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def start_training(cwd: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_default_signals,  # noqa: PLW1509 - the tests have no threads by then
    )


def _default_signals() -> None:
    """As from a terminal: a test run in a shell's background ignores SIGINT, and so would this."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def steps_taken(path: Path) -> int:
    found = [r.step for r in MetricsReader(path).read() if isinstance(r, TrainRecord)]
    return max(found, default=0)
