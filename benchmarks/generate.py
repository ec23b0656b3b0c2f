"""Key latency in the Generate tab while both models generate and a training uses all cores.

    python benchmarks/generate.py --data tinyshakespeare.txt

Starts a training of `nano` on all cores, opens the app on it in a pseudo-terminal of 120x36 with
256 colours, has both models generate, and presses keys that each bring a new word to the screen:
measures the milliseconds from the key to its word. Prints median, 95th percentile and maximum for
each kind of key and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

import machine
from terminal import Terminal

APP = [sys.executable, "-m", "tinygpt_tui"]
ANSWERS = (
    (b"v", b"surprisal"),
    (b"v", b"probability"),
    (b"v", b"entropy"),
    (b"v", b"layer 0"),
    (b"v", b""),
    (b"G", b"greedy"),
    (b"G", b"top-k"),
    (b"T", b"Enter select"),
    (b"\x1b", b""),
    (b"1", b"tok/s"),
    (b"2", b"greedy"),
)
"""Keys with the word that each brings to the screen; without a word, a key that goes back."""
KINDS = {b"T": "field", b"1": "tab", b"2": "tab"}
"""Keys that open a field or another tab: Textual lays out and repaints the whole screen."""


def latencies(terminal: Terminal, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from key to word, sorted, by kind of key."""
    by_kind: dict[str, list[float]] = {}
    for _ in range(rounds):
        for key, word in ANSWERS:
            time.sleep(0.3)  # a person's pace; not a wait for anything
            typed = terminal.type(key)
            if word:
                took = (terminal.wait_for(word, since=typed) - typed) * 1000
                by_kind.setdefault(KINDS.get(key, "key"), []).append(took)
    return {kind: sorted(times) for kind, times in by_kind.items()}


def beside_a_training(data: str, rounds: int) -> tuple[dict[str, list[float]], float, float]:
    """Latencies by kind of key, bytes per second, and tokens per second of the training."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "checkpoints")
        trainer = [*APP, "--train-only", "--preset", "nano", "--steps", "100000", "--name", "live"]
        training = Terminal(
            ["nice", "-n", "10", *trainer, "--data", data, "--out", str(out)],
            (120, 36),
            Path(folder),
        )
        with training:
            training.wait_for(b"step ")
            with Terminal([*APP, "--out", str(out)], (120, 36), Path(folder)) as app:
                app.wait_for(b"Live")
                app.type(b"2")
                app.wait_for(b"g generates with")
                app.type(b"X20000\rg")
                app.wait_for(b"generating")
                before = time.perf_counter() - app.began
                time.sleep(5)
                sent = len(app.text(before)) / 5
                by_kind = latencies(app, rounds)
                lines = (out / "live" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    trained = [r for r in map(json.loads, lines) if r["kind"] == "train"][-20:]
    return by_kind, sent, statistics.median(r["tokens_per_second"] for r in trained)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    if Path(options.data).is_file():
        options.data = str(Path(options.data).resolve())
    by_kind, sent, _ = beside_a_training(options.data, options.rounds)
    result: dict[str, object] = {"benchmark": "generate", "bytes_per_second": round(sent)}
    print(f"{'bytes/s':20} {result['bytes_per_second']}")
    for kind, times in {**by_kind, "all": sorted(chain(*by_kind.values()))}.items():
        numbers = statistics.median(times), times[int(len(times) * 0.95)], times[-1]
        result |= {f"{kind}_ms": [round(n, 1) for n in numbers], f"{kind}_count": len(times)}
        print(f"{kind:20} " + "  ".join(f"{n:6.1f}" for n in numbers) + f"  of {len(times)}")
    result |= machine.describe()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
