"""How much the difference of Dense and MoE depends on the seed, for runs that the study has.

``study.json`` is written by benchmarks/study.py: one row per scale, with the settings of its runs.
These have 80 % of the text to train on, where a default run has 90 %, and another tenth of it for
validation: what a seed changes is taken to be the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tinygpt.config import build, flatten, from_tables, unflatten
from tinygpt.data.splits import WITHOUT_TEST
from tinygpt.errors import TinyGPTError
from tinygpt.run import read_config
from tinygpt.run.layout import StrPath

TABLE = Path(__file__).with_name("study.json")
_LEARNING = ("gpt.", "moe.", "optim.")
_LEARNING_TOO = ("preset", "tokenizer", "vocab_size", "steps", "minutes", "target_loss", "patience")
_BATCH = ("train.batch", "train.accumulate")


class SeedSpread(NamedTuple):
    """The validation loss of Dense less that of MoE at the end of a run, over seeds."""

    seeds: int
    mean: float
    std: float
    noise: float
    """By how much a single run is likely (95 %) to differ from the mean."""


def seed_spread(run: StrPath) -> SeedSpread | None:
    """What the study found for runs with the preset, the steps, the recipe and the corpus of this
    one; None if it has none, or the run cannot be read."""
    try:
        return find_spread(read_config(run), _table())
    except (TinyGPTError, OSError, ValueError):
        return None


def find_spread(tables: Mapping[str, Any], rows: list[dict[str, Any]]) -> SeedSpread | None:
    """The row for a run of these settings, as run.toml has them; raises TinyGPTError if they are
    not valid."""
    settings = learning_settings(tables)  # refuses a corpus that is no table
    corpus = tables.get("corpus", {}).get("sha256")
    if tables.get("val_share", WITHOUT_TEST.validation) != WITHOUT_TEST.validation:
        return None  # of another text than the study's
    for row in rows:
        # A setting newer than the study is as it was then.
        if row["corpus"] == corpus and learning_settings(unflatten(row["settings"])) == settings:
            return SeedSpread(row["seeds"], row["mean"], row["std"], row["noise"])
    return None


def learning_settings(tables: Mapping[str, Any]) -> dict[str, object]:
    """Those settings of a run.toml that decide what is learned, but for the seed."""
    settings = flatten(build(from_tables(tables), preset_applies=False))
    return {
        name: value
        for name, value in settings.items()
        if name.startswith(_LEARNING) or name in (*_LEARNING_TOO, *_BATCH)
    }


@lru_cache(maxsize=1)
def _table() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return rows
