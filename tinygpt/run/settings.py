"""The settings of a run: those it was started with, as changed by its resumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tinygpt.config import END_SETTINGS
from tinygpt.run.layout import StrPath, read_config
from tinygpt.run.reader import MetricsReader
from tinygpt.run.records import ResumeRecord, StartRecord


class Stored(NamedTuple):
    """What a run directory says of how its run goes on."""

    settings: dict[str, Any]
    """run.toml, with the end that the last resume set, and the place at which it found the corpus.
    """
    warm_from: dict[str, int]
    """From which step the learning rate of each variant warms up once more, as the last resume
    recorded; those that only did so at the start are left out."""
    processes: int = 1
    """How many trained it last."""


def read_stored(path: StrPath) -> Stored:
    """What the run directory `path` says; reads all its metrics.

    Raises:
        RunError: run.toml cannot be read.
    """
    settings, warm_from, processes = read_config(path), dict[str, int](), 1
    for item in MetricsReader(path).read_all():
        if isinstance(item, StartRecord | ResumeRecord):
            processes = item.processes or 1
        if not isinstance(item, ResumeRecord):
            continue
        warm_from = dict(item.warm_from or {})
        settings = with_ends(settings, item.ends)
        if item.data is not None:
            settings["data"] = item.data
    return Stored(settings, warm_from, processes)


def with_ends(settings: dict[str, Any], ends: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings with the end that a resume has set instead of theirs; None if it set none."""
    if ends is None:
        return settings
    kept = {n: value for n, value in settings.items() if n not in END_SETTINGS}
    return kept | {n: ends[n] for n in END_SETTINGS if n in ends}


def stored_settings(path: StrPath) -> dict[str, Any]:
    """The settings of `read_stored`, which see."""
    return read_stored(path).settings
