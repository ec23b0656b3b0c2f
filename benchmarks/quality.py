"""Loss, time and peak memory that a preset reaches, by the command that a user would type.

    python benchmarks/quality.py nano
    python benchmarks/quality.py micro --data tinyshakespeare.txt

Prints a table and, last, one JSON line. Peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import machine


def main() -> None:
    """Run one preset and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="nano")
    parser.add_argument("--data", default="auto")
    options, further = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "tinygpt_tui", "--train-only", "--json", *further]
        command += ["--preset", options.preset, "--data", options.data, "--out", out]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - began
    result = json.loads(done.stdout.splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'':6} {'val loss':>9} {'train s':>9} {'tok/s':>9}")
    for name, model in result["models"].items():
        speed, took = model["tokens_per_second"], model["train_seconds"]
        print(f"{name:6} {model['val_loss']:9.4f} {took:9.1f} {speed:9,.0f}")
    print(f"whole process {seconds:.1f} s, peak memory {peak:.0f} MiB")
    summary = {
        "benchmark": "quality",
        "preset": options.preset,
        "corpus": result["corpus"]["name"],
        "seconds": round(seconds, 1),
        "peak_mib": round(peak),
        "models": {
            name: {key: model[key] for key in ("step", "val_loss", "train_seconds", "params_total")}
            for name, model in result["models"].items()
        },
        **machine.describe(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
