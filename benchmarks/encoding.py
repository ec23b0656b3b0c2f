"""Encoding a corpus, beside the library `tokenizers` alone on the same pieces of text.

    python benchmarks/encoding.py tinyshakespeare.txt
    python benchmarks/encoding.py tinyshakespeare.txt --times 50

Trains BPE on the text and encodes `--times` copies of it, by `encode_array` and by the library's
`encode_batch_fast` with its ids as lists, alternating, all cores for both. Prints medians, their
ratio and, last, one JSON line. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine
import tokenizers

from tinygpt.data.subword import BPETokenizer
from tinygpt.data.tokenizer import PIECE


def seconds(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--vocab-size", type=int, default=1024)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    text = options.data.read_text(encoding="utf-8")
    ours = BPETokenizer.train([text], options.vocab_size)
    alone = tokenizers.Tokenizer.from_str(ours.to_json())
    text *= options.times
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    took: dict[str, list[float]] = {"tinygpt": [], "tokenizers": []}
    for _ in range(options.rounds):
        took["tinygpt"].append(seconds(lambda: ours.encode_array(text)))
        took["tokenizers"].append(seconds(lambda: [e.ids for e in alone.encode_batch_fast(pieces)]))
    medians = {name: statistics.median(found) for name, found in took.items()}
    ratio = medians["tinygpt"] / medians["tokenizers"]
    size = len(text.encode())
    for name, median in medians.items():
        print(f"{name:<11} {median:7.2f} s  {size / median / 1e6:7.1f} MB/s")
    print(f"ratio {ratio:.3f}")
    print(
        json.dumps({"benchmark": "encoding", "bytes": size, "ratio": ratio, **machine.describe()})
    )


if __name__ == "__main__":
    main()
