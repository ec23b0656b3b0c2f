"""A large corpus: what encoding it takes, and that training does not notice its size.

    python benchmarks/corpus.py tinyshakespeare.txt
    python benchmarks/corpus.py tinyshakespeare.txt --megabytes 1000 --tokenizer bpe

Makes a text of that size from the lines of tinyshakespeare, in another order and with other words
throughout, and trains the Dense variant of `micro` for three steps on it: cold, then with the
tokens in the cache, and beside it on the first megabyte. For each: seconds from the start of the
process until the first step is done, and the peak of its memory: its own (anonymous), and with the
parts of files that are mapped. Then the time of a step on 100 MB against 1 MB, alternating. Prints
tables and, last, one JSON line. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import machine

from tinygpt.config import build
from tinygpt.data.batches import Batches
from tinygpt.data.corpus import read_text
from tinygpt.data.encoding import encode
from tinygpt.data.vocabulary import make_tokenizer
from tinygpt.training.learner import Learner
from tinygpt.training.session import token_tensor

SMALL, MIDDLE = 1, 100
"""Megabytes of the texts that the large one is compared with."""
BLOCK = 1_000_000


class Run(NamedTuple):
    """One run of the trainer."""

    first_step: float
    """Seconds from the start of the process until the first step is recorded."""
    anonymous: int
    """Peak of the memory that is no file's, in bytes."""
    resident: int
    """Peak of the memory, with the parts of files that are mapped."""


def make_text(source: Path, target: Path, megabytes: int) -> None:
    """Write lines of `source` in random order; a tenth of their words are another one of it."""
    rng = random.Random(megabytes)  # noqa: S311 - not for secrets
    text = source.read_text(encoding="utf-8")
    lines, words = text.splitlines(), sorted(set(text.split()))
    with open(target, "w", encoding="utf-8") as file:
        size = 0
        while size < megabytes * BLOCK:
            line = rng.choice(lines).split(" ")
            line = [rng.choice(words) if rng.random() < 0.1 else word for word in line]
            size += file.write(" ".join(line) + "\n")


def train(data: Path, cache: Path, options: argparse.Namespace, steps: int) -> Run:
    """Train in another process, and watch it."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            *(sys.executable, "-m", "tinygpt_tui", "--train-only", "--out", out, "--name", "run"),
            *("--preset", options.preset, "--model", "dense", "--steps", str(steps)),
            *("--data", str(data), "--tokenizer", options.tokenizer),
            *("--train.sample-tokens", "0", "--train.snapshots", "0"),
            *("--train.checkpoint-every", "0"),
        ]
        if options.tokenizer != "char":
            command += ["--vocab-size", str(options.vocab_size)]
        environment = {**os.environ, "TINYGPT_CACHE": str(cache)}
        began = time.time()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        anonymous = resident = 0
        while process.poll() is None:
            now, peak = memory(process.pid)
            anonymous, resident = max(anonymous, now), max(resident, peak)
            time.sleep(0.01)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed")
        lines = Path(out, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = map(json.loads, lines)
        first = next(record["time"] for record in records if record["kind"] == "train")
        return Run(first - began, anonymous, resident)


def step_seconds(texts: dict[int, Path], options: argparse.Namespace) -> dict[int, float]:
    """The median time of a step of one model on each text, in seconds; blocks of steps alternate.

    All have the tokenizer of the largest, so that the model is the same.
    """
    values = {"preset": options.preset, "tokenizer": options.tokenizer, "model": "dense"}
    values |= {"optim.weight_decay": 0.1, "optim.weight_decay_power": 1.0}  # no matter which
    size = {} if options.tokenizer == "char" else {"vocab_size": options.vocab_size}
    config = build({**values, **size})
    corpora = {size: read_text(path) for size, path in texts.items()}
    tokenizer = make_tokenizer(
        config.tokenizer, [corpora[MIDDLE]], config.shares, config.vocab_size
    )
    learner = Learner(
        "dense", config.with_vocabulary(tokenizer.vocab_size), tokenizer.vocab_size, "cpu"
    )
    train, gpt, batches = config.train, config.gpt, {}
    for size, corpus in corpora.items():
        encoded = encode(tokenizer, [corpus], config.shares)
        tokens = token_tensor(encoded.train, "cpu")
        batches[size] = Batches(
            tokens, train.batch, gpt.context, train.accumulate, 1, "cpu", encoded.release
        )
    seconds: dict[int, list[float]] = {size: [] for size in batches}
    for block in range(2 * options.rounds):
        for size, drawn in batches.items():
            for step in range(block * options.steps, (block + 1) * options.steps):
                began = time.perf_counter()
                learner.train(drawn(step), 0.5)
                if block:  # the first one warms up
                    seconds[size].append(time.perf_counter() - began)
    return {size: statistics.median(found) for size, found in seconds.items()}


def memory(pid: int) -> tuple[int, int]:
    """Bytes of a process's own memory now, and the most it had with mapped files; 0 once it is
    gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        fields = dict(line.split(":", 1) for line in status.splitlines())
        own, most = fields["RssAnon"], fields["VmHWM"]
    except (OSError, KeyError, ValueError):
        return 0, 0
    return int(own.split()[0]) << 10, int(most.split()[0]) << 10


def main() -> None:
    """Make the texts, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--preset", default="micro")
    parser.add_argument("--tokenizer", choices=["char", "bpe", "wordpiece"], default="bpe")
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="that are timed at a time")
    options = parser.parse_args()
    found: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        texts = {size: Path(folder, f"{size}.txt") for size in (SMALL, MIDDLE, options.megabytes)}
        for size, path in texts.items():
            make_text(options.data, path, size)
        large = texts[options.megabytes]
        for name, data in (
            ("first, of the bytecode", texts[SMALL]),
            (f"{SMALL} MB", texts[SMALL]),
            (f"{options.megabytes} MB, cold", large),
            (f"{options.megabytes} MB, warm", large),
            (f"{SMALL} MB again", texts[SMALL]),
            (f"{options.megabytes} MB again", large),
        ):
            run = found[name] = train(data, cache, options, 3)
            print(
                f"{name:<22} first step after {run.first_step:7.2f} s, memory "
                f"{run.anonymous / 1e6:6.0f} MB, with files {run.resident / 1e6:6.0f} MB",
                flush=True,
            )
        os.environ["TINYGPT_CACHE"] = str(cache)
        medians = step_seconds({size: texts[size] for size in (SMALL, MIDDLE)}, options)
    ratio = medians[MIDDLE] / medians[SMALL]
    for size, median in medians.items():
        print(f"a step on {size} MB: {1000 * median:.2f} ms")
    print(f"ratio {ratio:.3f}")
    print(
        json.dumps(
            {
                "benchmark": "corpus",
                "tokenizer": options.tokenizer,
                "runs": {name: run._asdict() for name, run in found.items()},
                "step_ratio": ratio,
                **machine.describe(),
            }
        )
    )


if __name__ == "__main__":
    main()
