"""The run that ``--resume`` means."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tinygpt.errors import RunError
from tinygpt.run import newest_run, validate_run_name


def run_to_resume(options: argparse.Namespace) -> Path:
    """The run that ``--name`` names, else the newest one.

    Raises:
        RunError: there is none.
    """
    if (name := getattr(options, "name", None)) is not None:
        path = Path(options.out, validate_run_name(name))
        if not os.path.isdir(path):
            raise RunError(f"--resume: there is no run {name!r} in {options.out}")
        return path
    newest = newest_run(options.out)
    if newest is None:
        raise RunError(
            f"--resume: there is no run in {options.out}; leave out --resume to start one"
        )
    return newest.path
