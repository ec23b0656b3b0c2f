"""How many processes train a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygpt.errors import TinyGPTError
from tinygpt.fields import flag
from tinygpt.gpus import visible_ids
from tinygpt.run.settings import Stored, read_stored
from tinygpt.threads import usable_cpus
from tinygpt_tui.launch import cost, trainer_process


def as_before(run: Path) -> list[str]:
    """The option for as many processes as trained the run last, or as this machine can have; none
    for one, or if the app's own command line says how many. Reads all metrics of the run."""
    if trainer_process.gpus() is not None:
        return []
    try:
        return option(read_stored(run))
    except TinyGPTError:  # its trainer will say why
        return []


def option(stored: Stored) -> list[str]:
    """The option for as many processes as trained a run last, or as this machine can have."""
    count = min(stored.processes, _most(stored.settings))
    return [flag("gpus"), str(count)] if count > 1 else []


def number(text: str) -> int:
    """How many an option means, as far as can be told without torch."""
    return int(text) if text.isdecimal() else len(visible_ids())


def _most(settings: Mapping[str, Any]) -> int:
    """How many processes this machine can have, one per GPU or core."""
    on_gpus = cost.likely_device(str(settings.get("device", "auto"))) == "cuda"
    return len(visible_ids()) if on_gpus else usable_cpus()
