"""Key latency of the app, and what following a live run costs in CPU, memory and bytes sent.

    python benchmarks/app.py --data tinyshakespeare.txt

Starts the app in a pseudo-terminal of 120x36 with 256 colours, lets it start a training of `nano`
on all cores, and measures during that training. Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import machine
from terminal import Terminal

APP = [sys.executable, "-m", "tinygpt_tui"]


def key_latencies(terminal: Terminal, count: int) -> list[float]:
    """Milliseconds from each of `count` keys to the first byte of the response."""
    latencies = []
    for index in range(count):
        time.sleep(0.23)
        quiet = time.perf_counter()
        while terminal.sent and time.perf_counter() - terminal.began - terminal.sent[-1][0] < 0.03:
            if time.perf_counter() - quiet > 2:
                break
            time.sleep(0.001)
        key = (b"\r", b"\x1b[D", b"\x1b[D", b"\r", b"l", b"l", b"2", b"1")[index % 8]
        before = len(terminal.sent)
        typed = terminal.type(key)
        deadline = time.perf_counter() + 2
        while len(terminal.sent) == before and time.perf_counter() < deadline:
            time.sleep(0.0002)
        if len(terminal.sent) > before:
            latencies.append((terminal.sent[before][0] - typed) * 1000)
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "checkpoints")
        out.mkdir()
        trainer = [*APP, "--train-only", "--preset", "nano", "--steps", "100000", "--name", "live"]
        training = Terminal(
            ["nice", "-n", "10", *trainer, "--data", options.data, "--out", str(out)],
            (120, 36),
            Path(folder),
        )
        training.wait_for(b"step ")
        app = Terminal([*APP, "--out", str(out)], (120, 36), Path(folder))
        app.wait_for(b"Live")
        time.sleep(5)
        cpu, _ = app.usage()
        since = time.perf_counter() - app.began
        time.sleep(options.seconds)
        later, memory = app.usage()
        sent = len(app.text(since))
        latencies = sorted(key_latencies(app, 120))
        app.close()
        training.close()
    p95 = latencies[int(len(latencies) * 0.95)]
    result = {
        "benchmark": "app",
        "cpu_percent_of_one_core": round((later - cpu) / options.seconds * 100, 2),
        "memory_mib": round(memory),
        "bytes_per_second": round(sent / options.seconds),
        "key_ms_median": round(statistics.median(latencies), 1),
        "key_ms_p95": round(p95, 1),
        "keys": len(latencies),
        **machine.describe(),
    }
    for key in list(result)[1:6]:
        print(f"{key:26} {result[key]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
