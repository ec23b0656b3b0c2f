"""Time to inspect 256 characters in the Attention tab, and the bytes its keys send over a link.

    python benchmarks/attention.py [--run checkpoints/name]

Times an inspection by a loaded model of the preset `baby`, from the request to the rows of the
screen; its weights are random, so its maps are noise, the most expensive kind. Then opens the app
in a pseudo-terminal of 120x36 with 256 colours on a text as long as the context, and counts the
bytes, and the milliseconds until the last of them, of cursor moves and changes of head and layer.
--run uses the latest checkpoint of a run instead. Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import machine
import torch
from terminal import Terminal

from tinygpt.checkpoint import Snapshot, save
from tinygpt.config import build
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.model.gpt import GPT
from tinygpt.run import CheckpointList, RunWriter
from tinygpt_tui.attention import layout, state, view
from tinygpt_tui.attention.state import AttentionState, Choice
from tinygpt_tui.engine import results
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import InspectRequest, InspectResult, Reply
from tinygpt_tui.engine.session import Timeline

LETTERS = "\n !',.:;?ABCDEFGHIJKLMNOPRSTUVWYabcdefghijklmnopqrstuvwxyz"
SIZE = (120, 36)
QUIET = 0.15
"""Seconds without a byte after which a response is complete."""


def make_run(out: Path) -> Path:
    """A run with one checkpoint of `baby` with random weights."""
    tokenizer = CharTokenizer.train(LETTERS)
    shape = replace(build({"preset": "baby"}).gpt, vocab_size=tokenizer.vocab_size)
    torch.manual_seed(0)
    model = GPT(shape)
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():
                weights.normal_(std=0.02)
    run = out / "random"
    RunWriter.create(run, {"preset": "baby"}, "{}").close()
    save_tokenizer(tokenizer, run / "tokenizer.json")
    save(
        run,
        Snapshot(
            variant="dense",
            step=0,
            tokens=0,
            val_loss=None,
            config=shape,
            weights=model.state_dict(),
            training={},
            progress={"step": 0},
        ),
    )
    return run


def texts(count: int, length: int) -> list[str]:
    """Distinct texts, so that no cache can answer."""
    generator = random.Random(0)  # noqa: S311 - no secret
    words = ["the", "sun", "is", "what", "ROMEO:", "\n", "light", "fair", "envious", "moon"]
    return [" ".join(generator.choice(words) for _ in range(length))[:length] for _ in range(count)]


def inspect_and_draw(run: Path, rounds: int) -> tuple[list[float], int]:
    """Seconds from each request to the rows of the largest map, and the context length."""
    engine = Engine()
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    path = str(next(child for child in (run / "dense", run / "moe") if child.is_dir()))
    times: list[float] = []
    context = 256
    for text in texts(rounds + 1, 4096):
        began = time.perf_counter()
        engine.ask(InspectRequest(engine.new_job(), path, text[:context], 0), replies.put)
        reply = replies.get(timeout=120)
        if not isinstance(reply, InspectResult):
            raise SystemExit(f"the engine did not inspect: {reply}")
        context = reply.context
        shown = results.inspected_text(reply)
        size = (SIZE[0], SIZE[1] - 2)
        made = AttentionState(
            choice=state.fitted(Choice(level="head", query=200, key=100), shown),
            shown=shown,
            statistics=shown.statistics,
            timeline=Timeline(CheckpointList({0: None, 1: None})),
        )
        view.tab(replace(made, choice=layout.with_cursor_visible(made, *size)), *size)
        times.append(time.perf_counter() - began)
    engine.close()
    return times[1:], context


def response(terminal: Terminal, key: bytes) -> tuple[float, float, int]:
    """Milliseconds to the first and to the last byte of the response to a key, and its bytes."""
    settle(terminal)
    count = len(terminal.sent)
    typed = terminal.type(key)
    settle(terminal, count)
    sent = terminal.sent[count:]
    size = sum(len(data) for _, data in sent)
    first, last = (sent[0][0], sent[-1][0]) if sent else (typed, typed)
    return (first - typed) * 1000, (last - typed) * 1000, size


def settle(terminal: Terminal, after: int = 0) -> None:
    """Wait until nothing was sent for QUIET seconds, and more than `after` messages were."""
    deadline = time.perf_counter() + 2
    while time.perf_counter() < deadline:
        now = time.perf_counter() - terminal.began
        if len(terminal.sent) > after and now - terminal.sent[-1][0] > QUIET:
            return
        time.sleep(0.005)


def key_costs(run: Path, context: int) -> dict[str, list[tuple[float, float, int]]]:
    """Responses to cursor moves, and to changes of head and layer."""
    command = [sys.executable, "-m", "tinygpt_tui", str(run), "--out", str(run.parent)]
    costs: dict[str, list[tuple[float, float, int]]] = {"cursor": [], "head": [], "layer": []}
    with Terminal(command, SIZE, run.parent) as app:
        app.wait_for(b"Experts")
        time.sleep(2)
        app.type(b"3")
        app.wait_for(b"L0 H0")
        app.type(b"t")
        time.sleep(0.5)
        for _ in range(200):
            app.type(b"\x7f")
        text = texts(1, context)[0].replace("\n", " ")
        app.type(b"\x1b[200~" + text.encode() + b"\x1b[201~\r")
        settle(app, len(app.sent))
        time.sleep(2)  # only changed cells are sent: there is no word to wait for
        app.type(b"\r")
        app.wait_for(b"top attended keys")
        app.wait_for(b"1 cell" if context > 60 else b"1:1")  # the whole text, not a line of it
        for move in (b"\x1b[A", b"\x1b[D", b"\x1b[B", b"\x1b[D", b"\x1b[A") * 5:
            costs["cursor"].append(response(app, move))
        for _ in range(8):
            costs["head"].append(response(app, b"]"))
        for _ in range(5):
            costs["layer"].append(response(app, b"}"))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = options.run.resolve() if options.run else make_run(Path(folder))
        times, context = inspect_and_draw(run, options.rounds)
        costs = key_costs(run, context)
    result: dict[str, object] = {
        "benchmark": "attention",
        "context": context,
        "inspected_and_drawn_s": round(statistics.median(times), 3),
    }
    for name, responses in costs.items():
        result[f"{name}_ms_median"] = round(statistics.median(ms for _, ms, _ in responses), 1)
        result[f"{name}_ms_most"] = round(max(ms for _, ms, _ in responses), 1)
        result[f"{name}_bytes_median"] = round(statistics.median(size for *_, size in responses))
        result[f"{name}_bytes_most"] = max(size for *_, size in responses)
    for key in list(result)[1:]:
        print(f"{key:20} {result[key]}")
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
