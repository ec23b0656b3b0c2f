"""Time per generated token, compared with nanoGPT's sample.py at the same shape and context.

    python benchmarks/decoding.py path/to/nanoGPT

Both run as a user runs them, one stream on all cores, alternating: sample.py with a checkpoint of
its own with the same layers, heads, width, context and vocabulary, `tinygpt-tui --generate` with
ours, Dense and MoE. Each generates a short and a long text, both past the context; the time per
token is the difference in seconds divided by the difference in tokens, which leaves out the start
of the process. Weights are random: the cost of a token does not depend on them. With
`--vocab-size 50257` both have as many tokens as GPT-2, and tied embeddings, as nanoGPT always has.
Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
import torch

from tinygpt.checkpoint import Snapshot, save
from tinygpt.config import RunConfig, build
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.model.gpt import GPT

CHARACTERS = "\n !$&',-.3:;?" + "".join(chr(c) for c in (*range(65, 91), *range(97, 123)))
"""The 65 characters of tinyshakespeare."""
FURTHER = range(0xF0000, 0xFFFFE)
"""Code points of further tokens: a plane for private use."""
SAMPLING = {"temperature": 0.8, "top_k": 200}
"""The defaults of sample.py."""
SHAPES = {"nano": (1_000, 4_000), "baby": (100, 1_500)}
"""Tokens by which the long text exceeds the short one: for sample.py, for ours."""

Command = Callable[[int], list[str]]


def vocabulary(size: int) -> str:
    """Characters that are the tokens of both."""
    return CHARACTERS + "".join(map(chr, FURTHER[: size - len(CHARACTERS)]))


def theirs(nanogpt: Path, config: RunConfig, characters: str, folder: Path) -> tuple[Command, Path]:
    """A copy of nanoGPT with a checkpoint of this shape, and the command that samples from it."""
    copy = folder / "nanoGPT"
    shutil.copytree(nanogpt, copy, ignore=shutil.ignore_patterns(".git", "assets"))
    (copy / "data" / "bench").mkdir()
    codes = {c: i for i, c in enumerate(characters)}
    names = dict(enumerate(characters))
    meta = pickle.dumps({"vocab_size": len(codes), "stoi": codes, "itos": names})
    (copy / "data" / "bench" / "meta.pkl").write_bytes(meta)
    (copy / "tiktoken.py").touch()  # imported by sample.py, needed only for GPT-2's weights
    gpt = config.gpt
    make = f"""
import os, torch
from model import GPT, GPTConfig
shape = dict(n_layer={gpt.layers}, n_head={gpt.heads}, n_embd={gpt.width}, block_size={gpt.context},
             vocab_size={len(characters)}, bias=False, dropout=0.0)
os.makedirs("out")
torch.save(dict(model=GPT(GPTConfig(**shape)).state_dict(), model_args=shape,
                config=dict(dataset="bench")), "out/ckpt.pt")
"""
    subprocess.run([sys.executable, "-c", make], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    flags = [f"--{key}={value}" for key, value in SAMPLING.items()]
    base = [sys.executable, "sample.py", "--device=cpu", "--out_dir=out", "--num_samples=1", *flags]
    return lambda count: [*base, f"--max_new_tokens={count}"], copy


def ours(config: RunConfig, variant: str, characters: str, folder: Path) -> Command:
    """A run with one checkpoint, and the command that samples from it."""
    run = folder / f"run-{variant}"
    run.mkdir()
    save_tokenizer(CharTokenizer.train(characters), run / "tokenizer.json")
    model = GPT(config.model_config(variant, len(characters)))
    with torch.no_grad():  # not the zeros that output projections start with
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    save(run, Snapshot(variant, 0, 0, None, model.config, model.state_dict(), {}, {}))
    flags = [part for key, value in SAMPLING.items() for part in (f"--{key}", str(value))]
    flags = [flag.replace("_", "-") for flag in flags]
    base = [sys.executable, "-m", "tinygpt_tui", str(run), "--generate", "\n", *flags]
    return lambda count: [*base, "--device", "cpu", "--max-new-tokens", str(count)]


def took(command: list[str], cwd: Path) -> float:
    """Seconds that a whole process takes."""
    began = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(
    nanogpt: Path, preset: str, characters: str, repeats: int
) -> dict[str, dict[str, float]]:
    """Milliseconds per token and seconds for the short text; medians, with the extremes."""
    config = build({"preset": preset, "device": "cpu"})
    context = config.gpt.context
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample, copy = theirs(nanogpt, config, characters, folder)
        commands = {"nanoGPT": (sample, copy, SHAPES[preset][0])}
        for variant in ("dense", "moe"):
            run = ours(config, variant, characters, folder)
            commands[variant] = (run, folder, SHAPES[preset][1])
        for _ in range(repeats):
            for title, (command, cwd, more) in commands.items():
                short = took(command(context), cwd)
                long = took(command(context + more), cwd)
                times.setdefault(title, []).append(((long - short) / more * 1000, short))
    return {
        title: {
            "ms_token": statistics.median(ms for ms, _ in pairs),
            "ms_token_min": min(ms for ms, _ in pairs),
            "ms_token_max": max(ms for ms, _ in pairs),
            "short_text_s": statistics.median(short for _, short in pairs),
        }
        for title, pairs in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--presets", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument(
        "--vocab-size", type=int, default=len(CHARACTERS), metavar="N", help="tokens of both models"
    )
    options = parser.parse_args()
    fewest, most = len(CHARACTERS), len(CHARACTERS) + len(FURTHER)
    if not fewest <= options.vocab_size <= most:
        parser.error(f"--vocab-size {options.vocab_size} is not a number from {fewest} to {most:,}")
    if not (options.nanogpt / "sample.py").is_file():
        parser.error(f"{options.nanogpt} is no checkout of nanoGPT: it has no sample.py")
    characters = vocabulary(options.vocab_size)
    result: dict[str, object] = {"benchmark": "decoding", "vocab_size": options.vocab_size}
    print(f"{'':14} {'ms per token':>12} {'min':>7} {'max':>8} {'speed':>6} {'short text s':>13}")
    for preset in options.presets:
        rows = measure(options.nanogpt.resolve(), preset, characters, options.repeats)
        theirs_ms = rows["nanoGPT"]["ms_token"]
        for title, row in rows.items():
            row["times_faster"] = theirs_ms / row["ms_token"]
            print(
                f"{preset} {title:9} {row['ms_token']:11.3f} {row['ms_token_min']:8.3f} "
                f"{row['ms_token_max']:8.3f} {row['times_faster']:6.2f} {row['short_text_s']:13.2f}"
            )
            result[f"{preset} {title}"] = {key: round(value, 4) for key, value in row.items()}
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
