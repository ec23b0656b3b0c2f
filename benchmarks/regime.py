"""Whether runs of many epochs end at their best: small models on a part of the corpus.

    python benchmarks/regime.py tinyshakespeare.txt
    python benchmarks/regime.py tinyshakespeare.txt --scale mini --epochs 1 4 12 41 100
    python benchmarks/regime.py tinyshakespeare.txt --model dense --optim.weight-decay 3

The proxy has a sixth of the corpus (from the middle of each split) and a sixth of the parameters of
`baby`, so as many parameters per character, and 41 epochs take 836 steps; mini has a 24th of both.
Each row trains by the command that a user would type, as defaults have it; further options go
to the trainer. Prints the best and the last validation loss, and last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

CONTEXT = 256
BEFORE = [
    *("--optim.weight-decay", "0.1", "--optim.weight-decay-power", "1"),
    *("--optim.decay-taps", "true", "--gpt.dropout", "0.2"),
]
"""The default of `baby` up to November 2026."""


@dataclass(frozen=True)
class Scale:
    """A share of the corpus, and the shape of a model for it."""

    share: int
    layers: int
    heads: int
    width: int
    batch: int

    def options(self, steps: int) -> list[str]:
        """The options of a run of this shape."""
        shape = {"layers": self.layers, "heads": self.heads, "width": self.width}
        flags = [part for name, size in shape.items() for part in (f"--gpt.{name}", str(size))]
        flags += ["--gpt.context", str(CONTEXT), "--train.batch", str(self.batch)]
        return [*flags, "--steps", str(steps), "--train.eval-every", str(max(1, steps // 20))]


SCALES = {"proxy": Scale(6, 4, 6, 192, 32), "mini": Scale(24, 4, 4, 96, 8)}


def part_of(text: str, share: int) -> str:
    """1 / `share` of each split, from its middle; the trainer splits it at the same place again."""
    border = int(0.9 * len(text))
    parts = []
    for split, size in ((text[:border], border // share), (text[border:], border // share // 9)):
        first = (len(split) - size) // 2
        parts.append(split[first : first + size])
    return "".join(parts)


def train(corpus: Path, options: list[str]) -> dict[str, Any]:
    """The results of a training, by variant."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            "-m",
            "tinygpt_tui",
            "--train-only",
            "--json",
            "--preset",
            "baby",
        ]
        command += ["--data", str(corpus), "--out", out, "--name", "run", "--device", "cpu"]
        command += ["--train.snapshots", "0", "--train.sample-tokens", "0", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        evaluations = [
            record
            for line in Path(out, "run", "metrics.jsonl").read_text().splitlines()
            if (record := json.loads(line))["kind"] == "eval"
        ]
    models = json.loads(done.stdout.splitlines()[-1])["models"]
    return {
        name: {
            "best": model["best_val_loss"],
            "best_step": [r["best_step"] for r in evaluations if r["model"] == name][-1],
            "end": model["val_loss"],
            "seconds": model["train_seconds"],
        }
        for name, model in models.items()
    }


def main() -> None:
    """Train each row, and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--scale", choices=SCALES, default="proxy")
    parser.add_argument("--epochs", type=float, nargs="+", default=[41.0])
    parser.add_argument("--model", default="both")
    parser.add_argument("--before", action="store_true", help="also the defaults of before")
    options, further = parser.parse_known_args()
    scale, rows = SCALES[options.scale], []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "part.txt")
        text = part_of(options.data.read_text(encoding="utf-8"), scale.share)
        corpus.write_text(text, encoding="utf-8")
        print(f"{'epochs':>7} {'variant':7} {'best':>7} {'at step':>8} {'end':>7}  options")
        for epochs in options.epochs:
            steps = max(1, round(epochs * 0.9 * len(text) / (scale.batch * CONTEXT)))
            for settings in [BEFORE, []] if options.before else [[]]:
                flags = [*settings, *further]
                run = [*scale.options(steps), "--model", options.model, *flags]
                for name, found in train(corpus, run).items():
                    rows.append({"epochs": epochs, "model": name, "options": flags, **found})
                    print(
                        f"{epochs:7g} {name:7} {found['best']:7.4f} {found['best_step']:8} "
                        f"{found['end']:7.4f}  {' '.join(flags) or 'default'}",
                        flush=True,
                    )
    print(json.dumps({"benchmark": "regime", "rows": rows, **machine.describe()}))


if __name__ == "__main__":
    main()
