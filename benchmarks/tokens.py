"""Characters against BPE and WordPiece at equal time: bits per byte of the validation text.

    python benchmarks/tokens.py tinyshakespeare.txt
    python benchmarks/tokens.py tinyshakespeare.txt --preset nano --minutes 1 --seeds 3

Trains the Dense variant of a preset with each tokenizer and seed, for the same time by the clock,
one run after another; the learning rate decays over that time. Losses per token do not compare
between tokenizers, bits per byte do: the validation text is the same. Prints a table for
docs/benchmarks.md and, last, one JSON line. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import machine

TOKENIZERS: dict[str, list[str]] = {
    "characters": [],
    "bpe 512": ["--tokenizer", "bpe", "--vocab-size", "512"],
    "bpe 1,024": ["--tokenizer", "bpe", "--vocab-size", "1024"],
    "bpe 4,096": ["--tokenizer", "bpe", "--vocab-size", "4096"],
    "wordpiece 1,024": ["--tokenizer", "wordpiece", "--vocab-size", "1024"],
}


def train(options: argparse.Namespace, tokenizer: str, seed: int, out: str) -> dict[str, Any]:
    """The results of one run, as ``--json`` has them."""
    command = [
        *(sys.executable, "-m", "tinygpt_tui", "--train-only", "--json", "--out", out),
        *("--preset", options.preset, "--data", options.data, "--model", "dense"),
        *("--minutes", str(options.minutes), "--seed", str(seed), "--train.sample-tokens", "0"),
        *TOKENIZERS[tokenizer],
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["models"]["dense"]
    return found


def main() -> None:
    """Train all of them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="tinyshakespeare.txt")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokenizers", nargs="+", choices=TOKENIZERS, default=[*TOKENIZERS])
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in options.tokenizers}
    with tempfile.TemporaryDirectory() as out:
        for seed in range(1, options.seeds + 1):
            for name, found in results.items():
                found.append(train(options, name, seed, out))
                print(f"{name}, seed {seed}: {found[-1]['bits_per_byte']:.4f}", file=sys.stderr)
    print(
        "| tokens | bits per byte | nats per character | parameters | characters each | chars/s |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, runs in results.items():
        print("| " + " | ".join((name, *row(runs))) + " |")
    summary = {
        "benchmark": "tokens",
        "preset": options.preset,
        "minutes": options.minutes,
        "bits_per_byte": {n: [r["bits_per_byte"] for r in runs] for n, runs in results.items()},
        **machine.describe(),
    }
    print(json.dumps(summary))


def row(runs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Means over the seeds, with the deviation of the first."""
    bits = [run["bits_per_byte"] for run in runs]
    each = statistics.mean(run["val_loss"] / run["nats_per_char"] for run in runs)
    speed = statistics.mean(run["tokens_per_second"] for run in runs) * each
    deviation = f" ± {statistics.stdev(bits):.4f}" if len(bits) > 1 else ""
    return (
        f"{statistics.mean(bits):.4f}{deviation}",
        f"{statistics.mean(run['nats_per_char'] for run in runs):.4f}",
        f"{runs[0]['params_total']:,}",
        f"{each:.2f}",
        f"{speed:,.0f}",
    )


if __name__ == "__main__":
    main()
