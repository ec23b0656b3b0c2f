"""The settings of a run: those it was started with, as changed by its resumes."""

from __future__ import annotations

from typing import Any

from tinygpt.config import END_SETTINGS
from tinygpt.run.layout import StrPath, read_config
from tinygpt.run.reader import MetricsReader
from tinygpt.run.records import ResumeRecord


def stored_settings(path: StrPath) -> dict[str, Any]:
    """run.toml of the run directory `path`, with the end that the last resume set, and the place
    at which it found the corpus.

    Raises:
        RunError: run.toml cannot be read.
    """
    stored = read_config(path)
    for item in MetricsReader(path).read_all():
        if isinstance(item, ResumeRecord) and item.ends is not None:
            stored = {name: value for name, value in stored.items() if name not in END_SETTINGS}
            stored.update({name: item.ends[name] for name in END_SETTINGS if name in item.ends})
        if isinstance(item, ResumeRecord) and item.data is not None:
            stored["data"] = item.data
    return stored


def stored_warm_from(path: StrPath) -> dict[str, int]:
    """From which step the learning rate of each variant warms up once more, as the last resume of
    the run directory `path` recorded; those that only did so at the start are left out."""
    steps: dict[str, int] = {}
    for item in MetricsReader(path).read_all():
        if isinstance(item, ResumeRecord):
            steps = dict(item.warm_from or {})
    return steps
