"""Named decoding settings: those built in, and those saved in the user's state folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace

from tinygpt.errors import ConfigError
from tinygpt.generation.params import NEUTRAL, SamplingParams
from tinygpt_tui.user_files import read_json, write_json

PRESETS = {
    "neutral": NEUTRAL,
    "greedy": replace(NEUTRAL, greedy=True),
    "conservative": replace(NEUTRAL, temperature=0.7, top_k=40, top_p=0.9),
    "balanced": replace(NEUTRAL, temperature=0.8, top_k=50, top_p=0.95),
    "creative": replace(NEUTRAL, temperature=1.1, top_p=0.95, min_p=0.02),
}
NOT_IN_PRESETS = ("seed", "max_new_tokens", "stop")
FILE = "presets.json"


def with_preset(params: SamplingParams, preset: SamplingParams) -> SamplingParams:
    """The preset, with the seed, length and stop sequences of `params`."""
    return replace(preset, **{name: getattr(params, name) for name in NOT_IN_PRESETS})


def preset_name(params: SamplingParams, presets: dict[str, SamplingParams]) -> str | None:
    """The name of the preset that these settings are equal to, if any."""
    for name, preset in presets.items():
        if with_preset(params, preset) == params:
            return name
    return None


def all_presets() -> dict[str, SamplingParams]:
    """Built-in presets, then the saved ones."""
    return PRESETS | saved_presets()


def saved_presets() -> dict[str, SamplingParams]:
    """The saved presets; those that cannot be read are skipped."""
    content = read_json(FILE)
    presets = {}
    for name, values in content.items() if isinstance(content, dict) else ():
        if isinstance(values, dict):
            with suppress(ConfigError):
                presets[str(name)] = SamplingParams.from_dict(values)
    return presets


def save_preset(name: str, params: SamplingParams) -> None:
    """Save a preset, replacing one of the same name."""
    _write(saved_presets() | {name: params})


def delete_preset(name: str) -> None:
    """Delete a saved preset."""
    _write({key: params for key, params in saved_presets().items() if key != name})


def _write(presets: dict[str, SamplingParams]) -> None:
    write_json(FILE, {name: asdict(params) for name, params in presets.items()})
