"""What the tab keeps between sessions: prompts and saved presets, in the user's state folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygpt.errors import ConfigError
from tinygpt.files import atomic
from tinygpt.files.safe_open import read_text
from tinygpt.generation.params import SamplingParams
from tinygpt_tui import log
from tinygpt_tui.generate.settings import as_dict, from_dict

MOST = 500
"""Prompts that are kept, the newest."""
FIRST = "ROMEO:"


class Prompts:
    """The prompts that were used, oldest first, and a place among them."""

    def __init__(self) -> None:
        found = _read("prompts.json")
        self.all = [p for p in found if isinstance(p, str) and p] if isinstance(found, list) else []
        self.place = len(self.all)

    @property
    def last(self) -> str:
        """The one used last."""
        return self.all[-1] if self.all else FIRST

    def used(self, prompt: str) -> None:
        """Remember a prompt; one that was used before moves to the end."""
        if prompt:
            self.all = [*(p for p in self.all if p != prompt), prompt][-MOST:]
            _write("prompts.json", self.all)
        self.place = len(self.all)

    def move(self, by: int, now: str) -> str:
        """The one before or after; beyond the newest, what there is now."""
        place = self.place + by
        if not 0 <= place < len(self.all):
            return now
        self.place = place
        return self.all[place]


def saved_presets() -> dict[str, SamplingParams]:
    """Those that were saved and can be read."""
    found = _read("presets.json")
    presets = {}
    for name, values in found.items() if isinstance(found, dict) else ():
        if isinstance(values, dict):
            with suppress(ConfigError):
                presets[str(name)] = from_dict(values)
    return presets


def save_preset(name: str, params: SamplingParams | None) -> None:
    """Keep a preset, or with None forget it."""
    presets = {key: as_dict(value) for key, value in saved_presets().items() if key != name}
    _write("presets.json", presets | ({} if params is None else {name: as_dict(params)}))


def _read(name: str) -> Any:
    try:
        return json.loads(read_text(_file(name)))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return None


def _write(name: str, value: object) -> None:
    """A disk that refuses costs the memory, nothing else."""
    with suppress(OSError, RuntimeError):
        _file(name).parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(_file(name), value)


def _file(name: str) -> Path:
    return log.path().with_name(name)
