"""How fast Dense learns on a CPU, compared with nanoGPT's README command.

    python benchmarks/learning.py path/to/nanoGPT path/to/tinyshakespeare.txt

Alternating, on the same cores: nanoGPT's command (4/4/128, context 64, batch 12, 2,000 steps), the
whole process; ours with the default CPU preset until nanoGPT's published validation loss of 1.88;
then ours for as many seconds as nanoGPT's took. nanoGPT's own validation loss is its estimate over
20 random batches, ours the whole validation split at context 64. Prints a table and, last, one JSON
line.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

SHAPE = {"block_size": 64, "batch_size": 12, "n_layer": 4, "n_head": 4, "n_embd": 128}
LENGTH = {"max_iters": 2000, "lr_decay_iters": 2000, "dropout": 0.0}
HOW = {"device": "cpu", "compile": False, "eval_iters": 20, "log_interval": 1}
COMMAND = ["train.py", "config/train_shakespeare_char.py"]
COMMAND += [f"--{name}={value}" for name, value in (HOW | SHAPE | LENGTH).items()]
TARGET = 1.88


def prepare(nanogpt: Path, data: Path, folder: Path) -> Path:
    """A copy of nanoGPT with the corpus prepared as its README says."""
    copy = folder / "nanoGPT"
    shutil.copytree(nanogpt, copy, ignore=shutil.ignore_patterns(".git", "assets"))
    own = copy / "data" / "shakespeare_char"
    shutil.copy(data, own / "input.txt")
    subprocess.run([sys.executable, "prepare.py"], cwd=own, check=True, stdout=subprocess.DEVNULL)
    return copy


def theirs(copy: Path) -> tuple[float, float]:
    """Seconds that nanoGPT's command takes, and the last validation loss it prints."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *COMMAND], cwd=copy, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    return seconds, float(re.findall(r"val loss ([\d.]+)", done.stdout)[-1])


def ours(data: Path, folder: Path, name: str, *ends: str) -> tuple[float, dict[str, Any]]:
    """Seconds that a whole training takes, and its result for Dense."""
    command = [sys.executable, "-m", "tinygpt_tui", "--train-only", "--model", "dense", "--json"]
    command += ["--device", "cpu", "--data", str(data), "--out", str(folder), "--name", name, *ends]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    return seconds, json.loads(done.stdout)["models"]["dense"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--no-quality", action="store_true", help="only measure the time to the target"
    )
    options = parser.parse_args()
    data = options.data.resolve()
    rows = []
    print(
        f"{'nanoGPT s':>10} {'val':>7} {'to 1.88, s':>11} {'steps':>6} {'share':>7} {'val then':>9}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy = prepare(options.nanogpt.resolve(), data, folder)
        for repeat in range(options.repeats):
            seconds, their_loss = theirs(copy)
            reached, at = ours(data, folder, f"target-{repeat}", "--target-loss", str(TARGET))
            row = {"nanogpt_s": seconds, "nanogpt_val": their_loss, "target_s": reached}
            row |= {"target_steps": at["step"], "share": reached / seconds}
            if not options.no_quality:
                start = reached - at["wall_seconds"]  # not counted as training
                minutes = (seconds - start) / 60
                whole, best = ours(data, folder, f"time-{repeat}", "--minutes", f"{minutes:.3f}")
                row |= {"quality_s": whole, "quality_val": best["val_loss"]}
            rows.append(row)
            print(
                f"{seconds:10.1f} {their_loss:7.4f} {reached:11.1f} {at['step']:6} "
                f"{row['share']:7.3f} {row.get('quality_val', float('nan')):9.4f}"
            )
    result = {"benchmark": "learning", "repeats": options.repeats}
    for key in rows[0]:
        result[key] = round(statistics.median(row[key] for row in rows), 4)
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
