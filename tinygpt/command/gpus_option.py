"""The option ``--gpus``: what it accepts, and as a word for another trainer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tinygpt.errors import ConfigError
from tinygpt.fields import flag


def problem(text: str) -> str | None:
    """Why there cannot be so many processes, as the option says it; None if there can."""
    if text == "all" or (text.isascii() and text.isdecimal() and int(text)):
        return None
    return f"{text} is neither a number of GPUs nor all"


def check(options: argparse.Namespace) -> None:
    """Raises ConfigError for what is no number and not all."""
    if why := problem(str(getattr(options, "gpus", "all"))):
        raise ConfigError(f"--gpus {why}: use --gpus all")


def as_options(options: argparse.Namespace) -> Iterator[str]:
    """The option in one word, if it is given."""
    if hasattr(options, "gpus"):
        yield f"{flag('gpus')}={options.gpus}"
