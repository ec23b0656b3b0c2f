"""What the tab keeps between sessions: prompts and saved presets, in the user's state folder."""

from __future__ import annotations

from contextlib import suppress

from tinygpt.errors import ConfigError
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate.settings import as_dict, from_dict
from tinygpt_tui.user_files import read_json, write_json


def saved_presets() -> dict[str, SamplingParams]:
    """Those that were saved and can be read."""
    found = read_json("presets.json")
    presets = {}
    for name, values in found.items() if isinstance(found, dict) else ():
        if isinstance(values, dict):
            with suppress(ConfigError):
                presets[str(name)] = from_dict(values)
    return presets


def save_preset(name: str, params: SamplingParams | None) -> None:
    """Keep a preset, or with None forget it."""
    presets = {key: as_dict(value) for key, value in saved_presets().items() if key != name}
    write_json("presets.json", presets | ({} if params is None else {name: as_dict(params)}))
