"""``--generate PROMPT``: a continuation on stdout, without the interface, for scripts."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt.fields import flag
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.commands.common import checkpoint_path, refuse_others, status_of, text_given

if TYPE_CHECKING:
    from tinygpt.checkpoint import Checkpoint
    from tinygpt.generation.decoding import TokenEvent

OTHERS = {"run", "out", "generate", "json", "model", "device", "seed"}
"""Options of the command, beside the sampling, that mean something here."""


class Option(NamedTuple):
    """A field of `SamplingParams` on the command line."""

    kind: Callable[[str], Any]
    metavar: str
    help: str


SAMPLING = {
    "temperature": Option(float, "X", "divides the logits; 0 is greedy (1)"),
    "top_k": Option(int, "N", "sample from the N likeliest tokens; 0 is off (0)"),
    "top_p": Option(float, "X", "from the fewest that reach probability X; 1 is off (1)"),
    "min_p": Option(float, "X", "from those of X times the likeliest's probability (0)"),
    "typical_p": Option(float, "X", "from those of typical surprisal that reach X (1)"),
    "repetition_penalty": Option(float, "X", "make tokens seen less likely; 1 is off (1)"),
    "no_repeat_ngram": Option(int, "N", "no N tokens in a row occur twice; 0 is off (0)"),
    "temperature_last": Option(bool, "", "apply the temperature after the filters"),
    "greedy": Option(bool, "", "always take the likeliest token"),
    "max_new_tokens": Option(int, "N", "tokens to make at most (200)"),
    "stop": Option(str, "TEXT", "end after this text; may be given several times"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """--generate and what says how."""
    group = parser.add_argument_group("a continuation, instead of the interface")
    group.add_argument(
        "--generate",
        metavar="PROMPT",
        help="write the continuation of PROMPT to stdout, then exit; - reads PROMPT from stdin",
    )
    for name, (kind, metavar, text) in SAMPLING.items():
        how: dict[str, Any] = {"metavar": metavar}
        if kind is bool:
            how = {"action": "store_true"}
        elif name == "stop":
            how |= {"action": "append"}
        group.add_argument(flag(name), dest=name, help=text, **how)


def command(options: argparse.Namespace) -> int:
    """Write a continuation as the parsed options say; the exit status."""
    return status_of(lambda: _generate(vars(options)))


def _generate(given: dict[str, Any]) -> None:
    refuse_others(given, OTHERS | SAMPLING.keys(), "--generate")
    values = _sampling(given)
    path = checkpoint_path(given, "--generate")
    prompt = text_given(given["generate"])
    _write(prompt, values, path, given.get("device", "auto"), as_json="json" in given)


def _sampling(given: dict[str, Any]) -> dict[str, Any]:
    """The sampling options, as their fields take them; a seed is drawn where none was named."""
    values = {name: _parsed(name, given[name]) for name in SAMPLING if name in given}
    seed = given.get("seed")
    values["seed"] = random.getrandbits(31) if seed is None else _number("seed", int, seed)
    return values


def _checked(values: dict[str, Any]) -> SamplingParams:
    """The settings; an error names the flag where the library names the field."""
    try:
        return SamplingParams(**values)
    except ConfigError as error:
        name, _, rest = str(error).partition(" ")
        raise ConfigError(f"{flag(name) if name in values else name} {rest}") from None


def _parsed(name: str, value: Any) -> Any:
    if name == "stop":
        return tuple(value)
    return value if isinstance(value, bool) else _number(name, SAMPLING[name].kind, value)


def _number(name: str, kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{flag(name)} {text!r} is not {expected}") from None


def _write(prompt: str, values: dict[str, Any], path: Path, device: str, *, as_json: bool) -> None:
    from tinygpt import load, stream  # noqa: PLC0415 - torch
    from tinygpt.config import build  # noqa: PLC0415
    from tinygpt.device import choose_device  # noqa: PLC0415

    params = _checked(values)
    checkpoint = load(path, choose_device(build({"device": device}).device))
    began = time.perf_counter()
    events = _shown(stream(checkpoint.model, checkpoint.tokenizer, prompt, params), hide=as_json)
    took = time.perf_counter() - began
    if as_json:
        found = report(checkpoint, prompt, params, events, took)
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _shown(stream: Iterator[TokenEvent], *, hide: bool) -> list[TokenEvent]:
    """All events; each token is written as it comes, to a person without what terminals obey."""
    watched = sys.stdout.isatty()
    events = []
    for event in stream:
        events.append(event)
        if not hide:
            sys.stdout.write(printable(event.text, keep="\n\t") if watched else event.text)
            sys.stdout.flush()
    if not hide and not (events and events[-1].text.endswith("\n")):
        sys.stdout.write("\n")
    sys.stdout.flush()
    return events


def report(
    checkpoint: Checkpoint,
    prompt: str,
    params: SamplingParams,
    events: list[TokenEvent],
    seconds: float,
) -> dict[str, Any]:
    """The text with all that is needed to make it again; surprisal and entropy in nats."""
    return {
        "prompt": prompt,
        "text": "".join(event.text for event in events),
        "checkpoint": str(checkpoint.path),
        "variant": checkpoint.variant,
        "step": checkpoint.step,
        "val_loss": checkpoint.val_loss,
        "sampling": asdict(params),
        "mean_surprisal": sum(e.surprisal for e in events) / len(events) if events else None,
        "tokens_per_second": len(events) / seconds if events else None,
        "tokens": [
            {
                "id": event.id,
                "text": event.text,
                "rank": event.rank,
                "surprisal": event.surprisal,
                "entropy": event.entropy,
            }
            for event in events
        ],
    }
