"""Whether several processes learn what one does.

    python benchmarks/equality.py tinyshakespeare.txt

Trains both variants of `micro` for 30 steps with one, two and three processes on the CPU (gloo,
fp32, one thread each), with an uneven batch of two micro-batches, and compares all their losses, of
training and of evaluations, with those of one process. Prints a table of the largest differences in
nats and, last, one JSON line. Nothing is timed, so other programs may run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import machine
import scaling

from tinygpt.run import EvalRecord, TrainRecord

STEPS = 30
SHAPE = (
    *("--preset", "micro", "--gpt.dropout", "0", "--train.precision", "fp32"),
    *("--train.batch", "7", "--train.accumulate", "2", "--train.threads", "1"),
    *("--train.eval-every", "10", "--steps", str(STEPS)),
)
CONFIGURATIONS = {
    "Muon": (),
    "AdamW": ("--optim.optimizer", "adamw"),
    "2 experts per token, balancing bias": ("--moe.top-k", "2", "--moe.bias-rate", "0.01"),
    "balanced by micro-batches": ("--moe.balance-over", "micro-batch"),
}

Losses = dict[tuple[str, str, int], float]


def losses(data: Path, processes: int, changes: tuple[str, ...]) -> Losses:
    """All losses of a training, by kind, variant and step."""
    found: Losses = {}
    for record in scaling.train(data, processes, *SHAPE, *changes):
        if isinstance(record, TrainRecord):
            found["train", record.model, record.step] = record.loss
        elif isinstance(record, EvalRecord):
            found["eval", record.model, record.step] = record.val_loss
    return found


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    data = parser.parse_args().data.resolve()
    result: dict[str, object] = {"benchmark": "equality", "steps": STEPS}
    print(f"{'':36}{'Dense':>10}{'MoE':>10}")
    for name, changes in CONFIGURATIONS.items():
        wanted = losses(data, 1, changes)
        for processes in (2, 3):
            found = losses(data, processes, changes)
            assert found.keys() == wanted.keys()
            largest = {
                variant: max(abs(found[k] - wanted[k]) for k in wanted if k[1] == variant)
                for variant in ("dense", "moe")
            }
            row = "".join(f"{value:10.1e}" for value in largest.values())
            print(f"{name:36}{row}  {processes} processes", flush=True)
            result[f"{name}, {processes} processes"] = largest
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
