"""Python processes that this one starts with its own code."""

from __future__ import annotations

import os
from pathlib import Path

from tinygpt.threads import limit_spinning

_ROOT = Path(__file__).resolve().parent.parent

PYTHON_OPTIONS = ("-P", "-m")
"""To start a module with, without importing one of that name from the current folder."""


def environment() -> dict[str, str]:
    """A child's environment: this package on PYTHONPATH, and threads that spin briefly.

    What a child prints goes to files and pipes that are read as UTF-8, whatever the locale.
    """
    others = os.environ.get("PYTHONPATH")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *([others] if others else [])]),
        "PYTHONIOENCODING": "utf-8",
    }
    limit_spinning(variables)
    return variables
