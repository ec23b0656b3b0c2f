"""Which trackers there are, and what ``--track`` means. Imports none of them."""

from __future__ import annotations

import argparse
import importlib.util
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tinygpt.errors import ConfigError
from tinygpt.fields import nearest

NONE = "none"
"""As the only name: no tracker, not even those that followed a run before it is resumed."""


@cache
def known() -> tuple[str, ...]:
    """The names of all trackers, sorted."""
    folder = Path(__file__).with_name("trackers")
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(folder)])))


def parse(text: str, flag: str) -> list[str]:
    """The trackers that the value of `flag` names, separated by commas, each once.

    Raises:
        ConfigError: one of them is unknown, or its package is not installed.
    """
    if text == NONE:
        return []
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known():
            hint = nearest(name, known()) or f": it takes {', '.join(known())}"
            raise ConfigError(f"{flag} {name!r} is not a tracker{hint}")
        if problem := missing(name):
            raise ConfigError(f"{flag} {problem}")
    return names


def missing(name: str) -> str | None:
    """What to install for a tracker, in words that its name begins; None if it is there."""
    spec = importlib.util.find_spec(name)
    # wandb writes into a folder of its name: seen from its parent, that is a package without code.
    if spec is not None and spec.origin is not None:
        return None
    return f"{name} needs the extra: pip install 'tinygpt-tui[{name}]'"


def check(options: argparse.Namespace) -> None:
    """Raises ConfigError for ``--track-model`` without a tracker that could get the model."""
    if hasattr(options, "track_model") and not (
        getattr(options, "track", None) or hasattr(options, "resume")
    ):
        raise ConfigError("--track-model needs a tracker, such as --track wandb")


def as_options(options: argparse.Namespace) -> Iterator[str]:
    """What the options say of trackers, as words for the command line of another trainer."""
    if hasattr(options, "track"):
        yield f"--track={','.join(options.track) or NONE}"
    if hasattr(options, "track_model"):
        yield "--track-model"
