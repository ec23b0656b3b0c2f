"""Claim: keys are answered while both models write and a training takes all cores.

    python benchmarks/generate.py --data tinyshakespeare.txt

Starts a training of `nano` on all cores, opens the app on it in a pseudo-terminal of 120x36 with
256 colours, has both models write, and presses keys whose answer is a word that is on the screen
only because of it: the milliseconds from each key to its word. Prints a table and, last, one JSON
line.
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
ANSWERS = (
    (b"v", b"surprisal"),
    (b"v", b"probability"),
    (b"v", b"entropy"),
    (b"v", b"of layer"),
    (b"v", b""),
    (b"G", b"greedy"),
    (b"G", b"top-k"),
    (b"T", b"Enter takes it"),
    (b"\x1b", b""),
    (b"1", b"tok/s"),
    (b"2", b"greedy"),
)
"""Keys with the word that each brings to the screen; without a word, a key that leads back."""


def latencies(terminal: Terminal, rounds: int) -> list[float]:
    """Milliseconds from each key to its word."""
    found = []
    for _ in range(rounds):
        for key, word in ANSWERS:
            time.sleep(0.3)  # as a person types; not a wait for anything
            typed = terminal.type(key)
            if word:
                found.append((terminal.wait_for(word, since=typed) - typed) * 1000)
    return sorted(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    if Path(options.data).is_file():
        options.data = str(Path(options.data).resolve())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "checkpoints")
        trainer = [*APP, "--train-only", "--preset", "nano", "--steps", "100000", "--name", "live"]
        training = Terminal(
            ["nice", "-n", "10", *trainer, "--data", options.data, "--out", str(out)],
            (120, 36),
            Path(folder),
        )
        with training:
            training.wait_for(b"step ")
            with Terminal([*APP, "--out", str(out)], (120, 36), Path(folder)) as app:
                app.wait_for(b"Live")
                app.type(b"2")
                app.wait_for(b"answered by")
                app.type(b"X20000\rg")
                app.wait_for(b"writing")
                before = time.perf_counter() - app.began
                time.sleep(5)
                sent = len(app.text(before))
                found = latencies(app, options.rounds)
    result = {
        "benchmark": "generate",
        "key_ms_median": round(statistics.median(found), 1),
        "key_ms_p95": round(found[int(len(found) * 0.95)], 1),
        "key_ms_most": round(found[-1], 1),
        "keys": len(found),
        "bytes_per_second": round(sent / 5),
        **machine.describe(),
    }
    for key in list(result)[1:6]:
        print(f"{key:20} {result[key]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
