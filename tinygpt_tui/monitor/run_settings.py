"""The settings of a run against its preset: what differs, and what a new run like it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tinygpt.config import build, dotted_fields, flatten, from_tables
from tinygpt.errors import TinyGPTError
from tinygpt.fields import as_text, flag
from tinygpt.presets import PRESETS

BY_RECIPE = {
    "gpt.tie_embeddings": "the vocabulary",
    "optim.weight_decay": "epochs and parameters",
    "optim.weight_decay_power": "epochs and parameters",
}
"""Settings that the trainer chooses for each run, unless they are named, and by what: see
`RunConfig.with_vocabulary` and `tinygpt.training.recipe`."""


class RunSetting(NamedTuple):
    """One setting of a run, None where it has no value."""

    name: str
    """With dots."""
    value: object
    default: object
    """Of the preset."""
    by_recipe: bool = False
    """Whether the trainer chose it: `BY_RECIPE`."""

    @property
    def differs(self) -> bool:
        """Whether somebody gave it another value than the preset has."""
        return not self.by_recipe and self.value != self.default


def run_settings(tables: Mapping[str, Any]) -> list[RunSetting]:
    """All settings of a run, in the order of the command line; `tables` is its run.toml with what
    resumes changed.

    Of a run that a newer version wrote, those that it names, as they are written.
    """
    written = from_tables(tables)
    names = [name for name, _ in dotted_fields()]
    try:
        values: Mapping[str, object] = flatten(build(written, preset_applies=False))
    except TinyGPTError:
        values = written
        names = [*(n for n in names if n in written), *sorted(set(written) - set(names))]
    defaults = _preset_settings(written.get("preset"), limited="minutes" in values)
    chosen = _chosen_by_recipe(written, tables.get("argv"))
    return [RunSetting(n, values.get(n), defaults.get(n), n in chosen) for n in names]


def _preset_settings(preset: object, *, limited: bool) -> Mapping[str, object]:
    """The settings of a preset, without its steps if the run has a time limit."""
    known = flatten(build({"preset": preset} if preset in PRESETS else {}))
    return {n: value for n, value in known.items() if n != "steps" or not limited}


def _chosen_by_recipe(written: Mapping[str, object], argv: object) -> set[str]:
    """Those `BY_RECIPE` that nobody named, as far as the command that started the run tells: a
    settings file may have named them."""
    words = [str(word).partition("=")[0] for word in argv] if isinstance(argv, list) else []
    if not words or flag("config") in words:
        return set()
    return {name for name in BY_RECIPE if name in written and flag(name) not in words}


def form_values(tables: Mapping[str, Any]) -> dict[str, str]:
    """The values, as typed, with which the form of a new run describes this one again."""
    known = {name for name, _ in dotted_fields()} - {"preset"}
    values = {
        setting.name: as_text(setting.value)
        for setting in run_settings(tables)
        if setting.name in known and setting.differs and setting.value is not None
    }
    preset = tables.get("preset")
    return {"preset": str(preset), **values} if preset in PRESETS else values
