"""The trainer as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.paths import ROOT

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
