"""Shared by the commands for scripts: finding the checkpoint and the text, and the exit status."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygpt.command.options import readable
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.fields import flag
from tinygpt.files.encoding import encoding_problem

if TYPE_CHECKING:
    from tinygpt.checkpoint import Checkpoint
    from tinygpt.run import Which

USAGE = 2
LONGEST_STDIN = 1 << 24
"""Characters that are read from stdin: far more than any context, and it may never end."""


def status_of(work: Callable[[], None]) -> int:
    """Run a command and return its exit status; an error of the user is one line on stderr."""
    try:
        work()
    except TinyGPTError as error:
        say(str(error))
        return USAGE
    except KeyboardInterrupt:
        return 130
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --step."""
    group = parser.add_argument_group(
        "choose a checkpoint, with --generate, --score, --inspect and --export hf"
    )
    group.add_argument(
        "--step",
        metavar="best|newest|N",
        help="the best by validation loss, the newest, or that of step N "
        "(default: the newest of a live run, else the best)",
    )


def chosen_step(given: Mapping[str, Any], path: Path) -> Which | None:
    """What --step says of the run or variant directory `path`; None if it is not given.

    Raises:
        ConfigError: it is none of what is valid, or `path` is a single checkpoint.
    """
    from tinygpt.run import parse_step  # noqa: PLC0415 - not for --help
    from tinygpt.run.checkpoints import NAMES  # noqa: PLC0415

    text = given.get("step")
    if text is None:
        return None
    if parse_step(path.absolute().name) is not None:
        raise ConfigError(f"--step {text}: {path} is a single checkpoint; omit --step")
    name = next((name for name in NAMES if name == text), None)
    if name is None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise ConfigError(f"--step {text!r} is not valid: it takes best, newest, or a step as 500")
    return name or int(text)


def text_or_stdin(text: str) -> str:
    """`text`, or stdin if it is ``-``: UTF-8 in every locale.

    Raises:
        ConfigError: stdin is not UTF-8, or longer than `LONGEST_STDIN`.
    """
    if text != "-":
        return text
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        read = sys.stdin.read(LONGEST_STDIN + 1)
    except UnicodeDecodeError as error:
        raise ConfigError(f"stdin is {encoding_problem(error)}: pipe in UTF-8") from error
    if len(read) > LONGEST_STDIN:
        raise ConfigError(f"stdin is longer than {LONGEST_STDIN:,} characters: pipe in less")
    return read


def read_input(path: str, option: str) -> str:
    """The UTF-8 text of a file, or stdin if it is ``-``; `option` is the flag that names it.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, or is too large.
    """
    from tinygpt.files.safe_open import read_text  # noqa: PLC0415 - not for --help

    if path == "-":
        return text_or_stdin(path)
    with readable(path, option):
        return read_text(path)


def reject_other_options(given: Mapping[str, Any], own: Set[str], command: str) -> None:
    """Raises ConfigError for an option that has no effect with a command."""
    if others := sorted(given.keys() - own):
        raise ConfigError(f"{flag(others[0])} has no effect with {command}")


def checkpoint_path(given: Mapping[str, Any], command: str) -> Path:
    """The run, variant or step directory to load; by default the live run, else the latest.

    Raises:
        TinyGPTError: there is no such run, or --model is not one of its variants.
    """
    from tinygpt.run import VARIANTS, current_run  # noqa: PLC0415 - not for --help
    from tinygpt.run.lookup import find_run  # noqa: PLC0415

    run, out, model = given.get("run"), given["out"], given.get("model")
    if model is not None and model not in VARIANTS:
        raise ConfigError(f"--model {model!r} is not valid: {command} takes dense or moe")
    if run is None:
        current = current_run(Path(out))
        if current is None:
            raise ConfigError(f"there is no run in {out}: train one, or set another --out")
        path = current.path
    else:
        path = find_run(run, out)
    return path if model is None else _of_model(path, model)


def _of_model(path: Path, model: str) -> Path:
    """The directory of variant `model` in a run, or `path` itself if it is within that variant."""
    from tinygpt.run import VARIANTS, is_run  # noqa: PLC0415 - not for --help

    if is_run(path):
        if not os.path.isdir(path / model):
            raise ConfigError(f"--model {model}: {path} has no such checkpoint")
        return path / model
    absolute = path.absolute()
    names = absolute.name, absolute.parent.name
    variant = next((name for name in names if name in VARIANTS), model)
    if variant != model:
        raise ConfigError(f"--model {model}: {path} is a {variant} checkpoint; omit --model")
    return path


def about_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """Which model made a result, and why that one, for JSON; the loss in nats per token."""
    return {
        "checkpoint": os.path.abspath(checkpoint.path),
        "variant": checkpoint.variant,
        "step": checkpoint.step,
        "chosen_as": checkpoint.chosen_as,
        "val_loss": checkpoint.val_loss,
    }


def load_checkpoint(path: Path, device: str, step: Which | None) -> Checkpoint:
    """Load the checkpoint of a run, variant or step directory that `step` means.

    If another one stands in for it, a line on stderr says so.

    Raises:
        TinyGPTError: it cannot be loaded, or the device cannot be used.
    """
    from tinygpt import load  # noqa: PLC0415 - torch
    from tinygpt.command.train_log import LoggedWarnings  # noqa: PLC0415 - numpy
    from tinygpt.config import build  # noqa: PLC0415
    from tinygpt.device import choose_device  # noqa: PLC0415

    chosen = choose_device(build({"device": device}).device)
    with LoggedWarnings():
        return load(path, chosen, step)
