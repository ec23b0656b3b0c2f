"""What a busy neighbour costs a training, by how long OpenMP's threads spin.

    python benchmarks/busy.py --data tinyshakespeare.txt [--counts 500,2000,10000] [--app]

Trains a preset, both variants, alone and beside as many busy loops as there are cores, with each
way to wait in turn: libgomp's own default, bounded spins, no spin (passive), and one thread. With
--app it measures instead the app beside a training while both models generate: the tokens per
second of the training and the 95th percentile of the app's keys, with libgomp's default and with
ours. Prints a table of medians and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import generate
import machine

from tinygpt.config import VARIANTS
from tinygpt.threads import SPIN_LIMITS

BUSY = "while True: pass"
LIBRARY_DEFAULT = {"KMP_BLOCKTIME": "200"}
"""Leaves libgomp as it is: `limit_spinning` keeps away once one of these variables is set."""


def ways_to_wait(counts: list[int]) -> dict[str, dict[str, str]]:
    """Environment variables by name of the row."""
    spins = {f"spin {count}": {"GOMP_SPINCOUNT": str(count)} for count in counts}
    return {
        "libgomp's default": LIBRARY_DEFAULT,
        **spins,
        "passive": {"OMP_WAIT_POLICY": "passive"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """`count` processes that never rest."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def step_ms(preset: str, data: str, seconds: float, variables: dict[str, str]) -> dict[str, float]:
    """Milliseconds per optimizer step of each variant in a run of `seconds`, without its start."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "tinygpt_tui", "--train-only", "--preset", preset),
                *("--device", "cpu", "--data", data, "--out", folder, "--name", "run"),
                *("--minutes", str(seconds / 60), "--train.eval-every", "1000000"),
                *("--train.snapshots", "0", "--train.log-every", "1"),
            ],
            check=True,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        lines = Path(folder, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [r for r in map(json.loads, lines) if r["kind"] == "train"]
    result = {}
    for variant in VARIANTS:
        own = [r for r in records if r["model"] == variant]
        first = own[min(10, len(own) // 3)]
        result[variant] = (
            (own[-1]["train_seconds"] - first["train_seconds"])
            / (own[-1]["step"] - first["step"])
            * 1000
        )
    return result


def curve(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of ms per step by way to wait; prints them as a table."""
    ways = ways_to_wait([int(count) for count in options.counts.split(",")])
    cores = os.cpu_count() or 1
    measured: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
    for _ in range(options.repeats):
        for name, variables in ways.items():
            for where, count in (("alone", 0), ("beside", cores)):
                with neighbours(count):
                    took = step_ms(options.preset, options.data, options.seconds, variables)
                for variant, ms in took.items():
                    measured[name].setdefault(f"{variant} {where}", []).append(ms)
    medians = {
        name: {column: round(statistics.median(ms), 1) for column, ms in columns.items()}
        for name, columns in measured.items()
    }
    columns = list(next(iter(medians.values())))
    print(f"{'ms per step of ' + options.preset:24}" + "".join(f"{c:>14}" for c in columns))
    for name, row in medians.items():
        print(f"{name:24}" + "".join(f"{row[c]:14.1f}" for c in columns))
    return medians


def app(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Speed of a training, and p95 of the keys of an app that generates beside it."""
    ways = {"libgomp's default": LIBRARY_DEFAULT, "ours": SPIN_LIMITS}
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, variables in ways.items():
            os.environ.update(variables)
            by_kind, sent, rate = generate.beside_a_training(options.data, rounds=6)
            for variable in variables:
                del os.environ[variable]
            keys = sorted(ms for times in by_kind.values() for ms in times)
            measured[name].append(
                {"tokens/s": rate, "key p95, ms": keys[int(len(keys) * 0.95)], "bytes/s": sent}
            )
    medians = {}
    for name, rows in measured.items():
        medians[name] = {
            column: round(statistics.median(row[column] for row in rows), 1) for column in rows[0]
        }
        print(f"{name:24}" + "".join(f"{key:>14} {value}" for key, value in medians[name].items()))
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--counts", default="500,1000,2000,5000,20000")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--app", action="store_true")
    options = parser.parse_args()
    if Path(options.data).is_file():
        options.data = str(Path(options.data).resolve())
    result = app(options) if options.app else curve(options)
    about = {"benchmark": "busy", "preset": options.preset}
    print(json.dumps({**about, **result, **machine.describe()}))


if __name__ == "__main__":
    main()
