"""How training scales with processes, and what it should do on many GPUs.

    python benchmarks/scaling.py tinyshakespeare.txt
    python benchmarks/scaling.py --expected small --step 0.16 --bandwidth 300 --network 25
    python benchmarks/scaling.py --momentum

Measures tokens per second of a training of each variant: one process with one thread, one with all
cores, and as many processes as there are cores, with a thread each (gloo); each configuration
several times, alternating. Then the bytes of a step that the processes exchange.

With `--momentum`, one process and one thread train, and the time in which Muon updates the momentum
of all matrices is measured: processes that kept a part each would save their share of it.

With `--expected`, nothing is measured: the expected efficiency of a preset on several GPUs follows
from the seconds of a step on one and the bandwidths in GB/s, within a machine and between machines,
by the formula of docs/scaling.md. Prints tables and, last, one JSON line. Nothing else should run
meanwhile.
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
from typing import Any

import machine
import torch
from random_text import learner_and_batches
from torch import Tensor

from tinygpt.config import RunConfig, build
from tinygpt.model.gpt import GPT
from tinygpt.optim import Muon, split_parameters
from tinygpt.run import MetricsReader, Record, TrainRecord
from tinygpt.threads import usable_cpus

VOCABULARY = {"small": 50_304}
"""Tokens; of the other presets those of tinyshakespeare."""
PER_MACHINE = 8
"""GPUs of a machine."""
OVERLAP = 2 / 3
"""Share of a step that is the backward pass, in which gradients are exchanged."""


def exchanged(config: RunConfig, variant: str, vocab_size: int) -> tuple[int, int]:
    """Bytes of the gradients of a step, and of the updates of Muon's matrices (in fp32)."""
    model = GPT(config.model_config(variant, vocab_size))
    matrices, others = split_parameters(model)
    muon = sum(p.numel() for p in matrices.values())
    return 4 * (muon + sum(p.numel() for p in others.values())), 4 * muon


def train(data: Path, processes: int, *options: str) -> list[Record]:
    """The records of a training on the CPU in several processes, or in one."""
    with tempfile.TemporaryDirectory() as out:
        several = ("--gpus", str(processes)) if processes > 1 else ()
        command = [
            *(sys.executable, "-m", "trainer", "--data", str(data), "--out", out, "--name", "run"),
            *("--device", "cpu", "--train.sample-tokens", "0", *options, *several),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [*MetricsReader(Path(out, "run")).read()]


def speed(
    data: Path, options: argparse.Namespace, processes: int, threads: int
) -> dict[str, float]:
    """Tokens per second of each variant, the median over the steps after the first ten."""
    shape = ("--preset", options.preset, "--train.threads", str(threads))
    ends = ("--steps", str(options.steps), "--train.eval-every", "100000")
    found: dict[str, list[float]] = {}
    for record in train(data, processes, *shape, *ends, "--train.snapshots", "0"):
        if isinstance(record, TrainRecord) and record.step > 10:
            found.setdefault(record.model, []).append(record.tokens_per_second)
    return {variant: statistics.median(speeds) for variant, speeds in found.items()}


def expected(options: argparse.Namespace) -> dict[str, object]:
    """Print and return the efficiency of each number of GPUs."""
    config, vocab_size = build({"preset": options.expected}), VOCABULARY.get(options.expected, 65)
    result: dict[str, object] = {"benchmark": "scaling", "expected": options.expected}
    for variant in ("dense", "moe"):
        gradients, updates = exchanged(config, variant, vocab_size)
        print(
            f"{variant}: {gradients / 1e6:.0f} MB of gradients, {updates / 2e6:.0f} MB of updates"
        )
        for gpus in (2, 8, 16, 64):
            bandwidth = options.bandwidth if gpus <= PER_MACHINE else options.network
            part = (gpus - 1) / gpus / (1e9 * bandwidth)
            behind = max(0.0, 2 * part * gradients - OVERLAP * options.step)
            efficiency = options.step / (options.step + behind + part * updates / 2)
            print(f"  {gpus:2} GPUs: {100 * efficiency:5.1f} %")
            result[f"{variant} {gpus}"] = round(efficiency, 4)
    return result


def momentum(options: argparse.Namespace) -> dict[str, object]:
    """Print and return the share of a step that updates the momentum, for each variant."""
    torch.set_num_threads(1)
    result: dict[str, object] = {"benchmark": "scaling", "momentum": options.preset}
    for variant in ("dense", "moe"):
        config = build({"preset": options.preset, "device": "cpu"})
        learner, batches = learner_and_batches(config, variant)
        (muon,) = (o for o in learner.optimizers if isinstance(o, Muon))
        update, spent = muon._nesterov, 0.0

        def timed(*batch: Any, update: Callable[..., Tensor] = update) -> Tensor:
            nonlocal spent
            began = time.perf_counter()
            matrices = update(*batch)
            spent += time.perf_counter() - began
            return matrices

        muon._nesterov = timed  # type: ignore[method-assign]
        shares = []
        for _ in range(options.rounds):
            began, spent = time.perf_counter(), 0.0
            for _ in range(options.steps):
                learner.train(batches(learner.progress.step), 0.0)
            shares.append(spent / (time.perf_counter() - began))
        result[variant] = round(statistics.median(shares), 4)
        print(f"{variant}: {100 * statistics.median(shares):.2f} % of a step updates the momentum")
    return result


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Print and return the speed of each configuration."""
    cores = usable_cpus()
    configurations = {(1, 1), (1, cores), (cores, 1)}
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for processes, threads in sorted(configurations):
            speeds = speed(options.data, options, processes, threads)
            found.setdefault((processes, threads), []).append(speeds)
    result: dict[str, object] = {"benchmark": "scaling", "preset": options.preset}
    for (processes, threads), runs in found.items():
        medians = {v: statistics.median(run[v] for run in runs) for v in runs[0]}
        row = ", ".join(f"{variant} {tokens:,.0f}" for variant, tokens in medians.items())
        print(f"{processes} x {threads} threads: {row} tokens/s")
        result[f"{processes}x{threads}"] = {v: round(tokens) for v, tokens in medians.items()}
    for variant in ("dense", "moe"):
        gradients, updates = exchanged(build({"preset": options.preset}), variant, 65)
        print(f"{variant}: {gradients:,} bytes of gradients a step, {updates:,} of updates")
    return result


def main() -> None:
    """Measure or compute, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="tinyshakespeare.txt")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--momentum", action="store_true", help="measure its share of a step")
    parser.add_argument("--expected", metavar="PRESET", help="compute, for this preset")
    parser.add_argument("--step", type=float, default=0.2, help="seconds of a step on one GPU")
    parser.add_argument("--bandwidth", type=float, default=300.0, help="GB/s in a machine")
    parser.add_argument("--network", type=float, default=25.0, help="GB/s between machines")
    options = parser.parse_args()
    if options.momentum:
        result = momentum(options)
    elif options.expected:
        result = expected(options)
    elif options.data is not None:
        result = measured(options)
    else:
        parser.error("name tinyshakespeare.txt, or a preset with --expected")
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
