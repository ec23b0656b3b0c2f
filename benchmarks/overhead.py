"""Cost of a whole run over its bare optimizer steps.

    python benchmarks/overhead.py --data tinyshakespeare.txt

Alternates between the bare steps of both variants of `nano` in lockstep, with freed memory kept as
the trainer keeps it, and a whole run of as many steps with its records, routing, snapshots and an
app that follows it at 120x36. Evaluations are left out: they are requested work. Prints a table
and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from terminal import Terminal

COMMAND = [sys.executable, "-m", "tinygpt_tui"]
BARE = """
import sys, time, torch
from tinygpt.config import build
from tinygpt.data.corpus import find_corpus
from tinygpt.data.splits import split
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.batches import Batches
from tinygpt.training.learner import Learner
from tinygpt.training.malloc import keep_freed_memory
from tinygpt.training.recipe import with_recipe
keep_freed_memory()
config = build({"preset": "nano", "device": "cpu"})
config, _ = with_recipe(config, 1_000_000, 65, "cpu")
learners = [Learner(v, config, 65, "cpu") for v in ("dense", "moe")]
text = find_corpus(sys.argv[2]).text
tokens = torch.from_numpy(split(CharTokenizer.train(text).encode_array(text))[0])
batches = Batches(tokens, config.train.batch, config.gpt.context, 1, 1)
steps = int(sys.argv[1])
for step in range(steps + 10):
    if step == 10:
        began = time.perf_counter()
    for learner in learners:
        learner.train(batches(step), 0.0)
print((time.perf_counter() - began) / steps)
"""


def bare(steps: int, data: str) -> float:
    """Seconds per step of both variants."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(steps), data],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout)


def whole(steps: int, folder: Path, data: str) -> float:
    """Seconds per step of both variants in a run that the app follows.

    The first and the last ten steps do not count: Dense's evaluation at the end would be in MoE's
    time.
    """
    out = folder / "runs"
    ends = ["--steps", str(steps + 20), "--train.eval-every", "1000000", "--device", "cpu"]
    command = [*COMMAND, "--train-only", "--preset", "nano", "--out", str(out), "--data", data]
    training = subprocess.Popen(
        [*command, *ends, "--name", "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with Terminal([*COMMAND, "--out", str(out)], (120, 36), folder):
        training.wait()
    lines = (out / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    times = {r["step"]: r["time"] for r in records if r["kind"] == "train" and r["model"] == "moe"}
    return float(times[steps + 10] - times[10]) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = str(Path(options.data).resolve()) if Path(options.data).is_file() else options.data
    rows = []
    print(f"{'bare, ms':>9} {'whole, ms':>10} {'ratio':>7}")
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            row = bare(options.steps, data), whole(options.steps, Path(folder), data)
        rows.append((*row, row[1] / row[0]))
        print(f"{row[0] * 1000:9.1f} {row[1] * 1000:10.1f} {rows[-1][2]:7.3f}")
    ratios = [row[2] for row in rows]
    result = {
        "benchmark": "overhead",
        "bare_ms": round(statistics.median(row[0] for row in rows) * 1000, 2),
        "whole_ms": round(statistics.median(row[1] for row in rows) * 1000, 2),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_from_to": [round(min(ratios), 4), round(max(ratios), 4)],
    }
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
