"""``--generate PROMPT``: print a continuation as text or JSON, for scripts.

With ``--prompts`` or ``--samples``, many of them as JSON lines: see `batch`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from tinygpt.command.options import path as path_type
from tinygpt.command.results import print_json, print_text
from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt.fields import flag, kind_of
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.commands import batch
from tinygpt_tui.commands.common import (
    about_checkpoint,
    checkpoint_path,
    chosen_step,
    load_checkpoint,
    reject_other_options,
    status_of,
    text_or_stdin,
)

if TYPE_CHECKING:
    from tinygpt.checkpoint import Checkpoint
    from tinygpt.generation.decoding import TokenEvent

SAMPLING = {field.name: field for field in fields(SamplingParams) if field.name != "seed"}
"""The settings that have a flag only for this command; --seed is also a training option."""
BATCH_OPTIONS = {"prompts", "samples"}
OTHER_OPTIONS = {"run", "out", "generate", "json", "model", "step", "device", "seed"}
_METAVARS = {int: "N", float: "X"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --generate, those of a batch, and a flag for each decoding setting."""
    group = parser.add_argument_group("generate text, instead of opening the interface")
    group.add_argument(
        "--generate",
        nargs="?",
        const=None,
        metavar="PROMPT",
        help="print the continuation of PROMPT and exit; - reads PROMPT from stdin",
    )
    group.add_argument(
        "--prompts",
        metavar="FILE",
        type=path_type,
        help="continue every line of FILE (- is stdin), as JSON lines; with a FILE.jsonl, every "
        'object: {"prompt": "..."}, with an id and decoding settings of its own if it has them',
    )
    group.add_argument(
        "--samples",
        metavar="N",
        help="N continuations of each prompt, as JSON lines; their seeds count up from --seed in "
        "the order of the output (1)",
    )
    for name, field in SAMPLING.items():
        text, default = field.metadata["help"], field.default
        if name == "stop":
            how: dict[str, Any] = {"metavar": "TEXT", "action": "append", "help": text}
        elif isinstance(default, bool):
            how = {"action": "store_true", "help": text}
        else:
            how = {"metavar": _METAVARS[kind_of(field)], "help": f"{text} ({default:g})"}
        group.add_argument(flag(name), dest=name, **how)


def command(options: argparse.Namespace) -> int:
    """Generate according to the parsed options; returns the exit status."""
    return status_of(lambda: _generate(vars(options)))


def _generate(given: dict[str, Any]) -> None:
    reject_other_options(given, OTHER_OPTIONS | BATCH_OPTIONS | SAMPLING.keys(), "--generate")
    _require_one_source(given)
    values = {name: given[name] for name in SAMPLING if name in given}
    params = SamplingParams(**values, seed=given.get("seed", random.getrandbits(31)))
    path = checkpoint_path(given, "--generate")
    step = chosen_step(given, path)
    many = bool(given.keys() & BATCH_OPTIONS)
    if "prompts" in given:
        prompts = batch.read_prompts(given["prompts"], params)
    else:
        prompts = [batch.Prompt(text_or_stdin(given["generate"]), params)]
    samples = batch.parse_samples(given.get("samples", "1"))
    checkpoint = load_checkpoint(path, given.get("device", "auto"), step)
    if many:
        batch.write(prompts, samples, checkpoint)
    else:
        _write(prompts[0].text, params, checkpoint, as_json="json" in given)


def _require_one_source(given: dict[str, Any]) -> None:
    text, file = given["generate"] is not None, "prompts" in given
    if text and file:
        raise ConfigError(
            f"--generate {given['generate']!r} and --prompts exclude each other: "
            "with --prompts, --generate takes no text"
        )
    if not text and not file:
        raise ConfigError("--generate takes a text to continue: PROMPT, - for stdin, or --prompts")


def _write(prompt: str, params: SamplingParams, checkpoint: Checkpoint, *, as_json: bool) -> None:
    from tinygpt import stream  # noqa: PLC0415 - torch

    start = time.perf_counter()
    tokens = stream(checkpoint.model, checkpoint.tokenizer, prompt, params)
    if not as_json:
        _print(tokens)
    else:
        numbers = [_numbers(event) for event in tokens]
        seconds = time.perf_counter() - start
        print_json(report(checkpoint, prompt, params, numbers, seconds))


def _print(stream: Iterator[TokenEvent]) -> None:
    """Print each token as it arrives; on a terminal, without control characters."""
    on_terminal = sys.stdout.isatty()
    last = ""
    for event in stream:
        text = printable(event.text, keep="\n\t") if on_terminal else event.text
        print_text(text)
        last = text or last
    if not last.endswith("\n"):
        print_text("\n")


def _numbers(event: TokenEvent) -> dict[str, Any]:
    """What the report has of a token. The distributions are not kept: with a vocabulary of 30,001
    they take 353 KiB per token."""
    return {
        "id": event.id,
        "text": event.text,
        "rank": event.rank,
        "surprisal": event.surprisal,
        "entropy": event.entropy,
    }


def report(
    checkpoint: Checkpoint,
    prompt: str,
    params: SamplingParams,
    tokens: list[dict[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    """Everything needed to reproduce a text, as JSON; surprisal and entropy in nats."""
    text = "".join(token["text"] for token in tokens)
    return {
        "prompt": prompt,
        "text": text,
        "finish_reason": batch.finish_reason(
            text,
            params,
            is_end=bool(tokens) and tokens[-1]["id"] == checkpoint.tokenizer.end_of_text,
        ),
        **about_checkpoint(checkpoint),
        "sampling": asdict(params),
        "mean_surprisal": sum(t["surprisal"] for t in tokens) / len(tokens) if tokens else None,
        "tokens_per_second": len(tokens) / seconds if tokens else None,
        "tokens": tokens,
    }
