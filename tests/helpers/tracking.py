"""Runs to track, and what the fake tracker was told of them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT, python_path
from tests.helpers.records import started
from tests.helpers.run_files import lines
from tinygpt.run import METRICS, RUN_TOML, Record

PACKAGES = ROOT / "tests" / "helpers" / "packages"
"""On PYTHONPATH, its wandb is the one that is imported."""


def run_with(path: Path, *records: Record) -> Path:
    """A run directory that holds the start record and these."""
    path.mkdir(parents=True, exist_ok=True)
    (path / RUN_TOML).write_text('seed = 7\n\n[corpus]\nname = "plays"\n')
    (path / METRICS).write_bytes(lines(started(), *records))
    return path


def append(path: Path, *records: Record) -> None:
    with open(path / METRICS, "ab") as file:
        file.write(lines(*records))


def environment(told: Path, trouble: str = "", at: int | None = None) -> dict[str, str]:
    """The environment of a process in which wandb is the fake one, which writes to `told`."""
    return {
        **os.environ,
        "PYTHONPATH": python_path(PACKAGES),
        "FAKE_WANDB": str(told),
        "FAKE_WANDB_TROUBLE": trouble,
        **({} if at is None else {"FAKE_WANDB_AT": str(at)}),
    }


def told_to(file: Path) -> list[dict[str, Any]]:
    """What the fake tracker was told so far."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def logged(told: Sequence[Mapping[str, Any]], tag: str = "train/loss") -> dict[str, list[int]]:
    """The steps at which a metric was logged, by the name of the tracked run."""
    names = {entry["id"]: entry["name"] for entry in told if entry["what"] == "init"}
    steps: dict[str, list[int]] = {}
    for entry in told:
        if entry["what"] == "log" and tag in entry["data"]:
            steps.setdefault(names[entry["id"]], []).append(entry["step"])
    return steps
