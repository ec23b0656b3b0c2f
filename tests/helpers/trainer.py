"""The trainer as a process of its own."""

import os
import sys

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


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm-256color"}
