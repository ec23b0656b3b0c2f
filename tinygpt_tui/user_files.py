"""Small JSON files in the user's state folder that persist between sessions: prompts, presets."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygpt.files import atomic
from tinygpt.files.safe_open import read_text
from tinygpt_tui import log


def read_json(name: str) -> Any:
    """The content of a file; None if it is missing or damaged."""
    try:
        return json.loads(read_text(_file(name)))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return None


def write_json(name: str, value: object) -> None:
    """Write a file; a failure is ignored, since nothing depends on it."""
    with suppress(OSError, RuntimeError):
        _file(name).parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(_file(name), value)


def _file(name: str) -> Path:
    return log.path().with_name(name)
