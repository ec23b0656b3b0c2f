"""Settings that mean the same later and from any folder, as those of a group and of a queued run
must: both are trained by commands that are made of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping

from tinygpt import config as configuration
from tinygpt.command.options import settings
from tinygpt.data import sources
from tinygpt.fields import as_text, convert, flag
from tinygpt.files.paths import user_path
from tinygpt.presets import Scalar


def requested(options: argparse.Namespace) -> dict[str, Scalar]:
    """The settings of the command line and of --config, converted, without a preset "auto".

    Raises:
        ConfigError: one of them is not valid, or the file cannot be read.
    """
    known = dict(configuration.dotted_fields())
    given = settings(options)
    if given.get("preset") == "auto":
        del given["preset"]
    found = {name: convert(known[name], value, name) for name, value in given.items()}
    for name in ("data", "val_data"):
        if name in found:
            found[name] = sources.absolute(found[name])
    if found.get("tokenizer", "char") not in configuration.TOKENIZERS:
        found["tokenizer"] = os.path.abspath(user_path(found["tokenizer"]))
    return found


def as_options(values: Mapping[str, Scalar]) -> Iterator[str]:
    """Settings as one word each, as a command line has them."""
    return (f"{flag(name)}={as_text(value)}" for name, value in values.items())
