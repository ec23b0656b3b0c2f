"""How long the app takes to open and to redraw a run of a million train records.

    python benchmarks/million.py

Writes such a run, opens it in a pseudo-terminal of 120x36, and measures the time until the tabs
are on screen, until the last step is, and of a complete redraw. Prints a table and, last, one JSON
line.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import machine
from terminal import Terminal

from tinygpt.run import MetricsReader, StartRecord, TrainRecord, to_json
from tinygpt_tui.monitor.history import History
from tinygpt_tui.train.state import Options, TrainState
from tinygpt_tui.train.view import tab

STEPS = 500_000


def write(run: Path) -> None:
    """Write a run directory of two models with STEPS steps each."""
    run.mkdir(parents=True)
    (run / "run.toml").write_text(f"steps = {STEPS}\n")
    start = StartRecord(
        time=1.0,
        run=run.name,
        corpus={"name": "tinyshakespeare"},
        models={"dense": {}, "moe": {}},
        device="cpu",
        versions={},
        steps=STEPS,
        context=64,
        batch_tokens=768,
    )
    with open(run / "metrics.jsonl", "w") as file:
        file.write(to_json(start) + "\n")
        for step in range(1, STEPS + 1):
            noise = 0.1 * ((step * 7919) % 101) / 101
            for model in ("dense", "moe"):
                record = TrainRecord(
                    time=1e9 + step,
                    model=model,
                    step=step,
                    tokens=step * 768,
                    epoch=step * 7e-4,
                    loss=2 / (1 + step / 1e5) + noise,
                    lr=0.02,
                    grad_norm=0.5632,
                    tokens_per_second=14439.902715448692,
                    train_seconds=step * 0.05,
                )
                file.write(to_json(record) + "\n")


def redraw(run: Path) -> float:
    """Median milliseconds to draw the whole tab after a key that changes both charts."""
    history = History()
    history.add(MetricsReader(run).read_all())
    times = []
    for index in range(12):
        options = Options(window=(1000.0 * index, 400_000.0 + index))
        began = time.perf_counter()
        tab(replace(TrainState(history), options=options), 120, 34)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[2:])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "checkpoints")
        write(out / "big")
        size = (out / "big" / "metrics.jsonl").stat().st_size
        opened = []
        for _ in range(3):
            app = [sys.executable, "-m", "tinygpt_tui", "--out", str(out)]
            terminal = Terminal(app, (120, 36), Path(folder))
            paint = terminal.wait_for(b"Experts")
            opened.append(terminal.wait_for(f"{STEPS:,}".encode()))
            _, memory = terminal.usage()
            terminal.close()
        result = {
            "benchmark": "million",
            "records": 2 * STEPS,
            "megabytes": round(size / 1e6),
            "first_paint_s": round(paint, 2),
            "opened_s": round(statistics.median(opened), 2),
            "redraw_ms": round(redraw(out / "big"), 1),
            "memory_mib": round(memory),
            **machine.describe(),
        }
    for key in ("first_paint_s", "opened_s", "redraw_ms", "memory_mib"):
        print(f"{key:16} {result[key]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
