"""Seconds to `--help`, to the app's first paint, and to the first optimizer step.

    python benchmarks/start.py --data tinyshakespeare.txt

Whole processes, warm: each runs once before the measurement. Prints a table and, last, one JSON
line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
from terminal import Terminal

COMMAND = [sys.executable, "-m", "tinygpt_tui"]


def show_help() -> float:
    """Seconds that `--help` takes."""
    began = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_paint(out: Path) -> float:
    """Seconds until the tabs are on the screen."""
    with Terminal([*COMMAND, "--out", str(out)], (120, 36), out.parent) as terminal:
        return terminal.wait_for(b"Experts")


def first_step(out: Path, data: str) -> float:
    """Seconds until the first record of a training step."""
    name = f"run-{time.monotonic_ns()}"
    ends = ["--steps", "1", "--name", name, "--out", str(out), "--data", data, "--device", "cpu"]
    began = time.time()
    subprocess.run([*COMMAND, "--train-only", *ends], check=True, capture_output=True)
    for line in (out / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "train":
            return float(record["time"]) - began
    raise AssertionError("no step was taken")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    data = str(Path(options.data).resolve()) if Path(options.data).is_file() else options.data
    result: dict[str, object] = {"benchmark": "start"}
    print(f"{'seconds to':22} {'median':>8} {'min':>8} {'max':>8}")
    with tempfile.TemporaryDirectory() as folder:
        empty, out = Path(folder, "empty"), Path(folder, "runs")
        empty.mkdir()
        claims: dict[str, Callable[[], float]] = {
            "--help": show_help,
            "first paint": lambda: first_paint(empty),
            "first optimizer step": lambda: first_step(out, data),
        }
        for name, measure in claims.items():
            measure()
            times = [measure() for _ in range(options.repeats)]
            middle = statistics.median(times)
            print(f"{name:22} {middle:8.3f} {min(times):8.3f} {max(times):8.3f}")
            result[name] = [round(t, 3) for t in (middle, min(times), max(times))]
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
