"""A run in a few numbers, read from the two ends of its metrics file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinygpt.errors import TinyGPTError
from tinygpt.run import (
    METRICS,
    EndRecord,
    EvalRecord,
    Record,
    ResumeRecord,
    TrainRecord,
    read_config,
)
from tinygpt.run.reader import first_record
from tinygpt.run.settings import with_ends
from tinygpt.run.tail import has_kind, lines_backwards, parsed

_KINDS = ("eval", "resume", "end")


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a few numbers, None or empty while unknown. Losses in nats, by variant."""

    best: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Best validation losses."""
    step: int | None = None
    """The latest step of any variant."""
    steps: int | None = None
    """Planned steps."""
    wall_seconds: float | None = None
    """Training, evaluation and sampling of both variants, up to the last evaluation."""
    parameters: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """(total, active) by variant."""
    device: str | None = None
    context: int | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """run.toml, as nested tables."""


def summary(path: Path) -> Summary:
    """The numbers of the run directory `path`; costs one stat if its metrics have not changed.

    Missing or unreadable values are left out; `list_runs` reports what is wrong with a run.
    """
    try:
        stat = (path / METRICS).stat()
    except OSError:
        return Summary(settings=_settings(path))
    return _summary(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=512)
def _summary(path: Path, size: int, changed: int) -> Summary:  # noqa: ARG001 - for the cache
    start = first_record(path)
    planned = start.steps if start else None
    end = _read_end(path, size, tuple(start.models) if start else (), planned)
    parameters = {}
    for variant, counts in start.models.items() if start else ():
        total, active = counts.get("params_total"), counts.get("params_active")
        if isinstance(total, int) and isinstance(active, int):
            parameters[variant] = (total, active)
    return Summary(
        best=MappingProxyType(end.best),
        step=max(end.step.values(), default=None),
        steps=planned if end.ends is None else end.ends.get("steps"),
        wall_seconds=max(end.wall_seconds.values(), default=None),
        parameters=MappingProxyType(parameters),
        device=start.device if start else None,
        context=start.context if start else None,
        settings=_settings(path, end.ends),
    )


def _settings(path: Path, ends: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """run.toml, with the end that a resume has set."""
    try:
        return MappingProxyType(with_ends(read_config(path), ends))
    except TinyGPTError:
        return MappingProxyType({})


@dataclass
class _End:
    """Numbers collected from the records, last one first: the first value found counts."""

    best: dict[str, float] = field(default_factory=dict)
    step: dict[str, int] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)
    last_valid: dict[str, float] = field(default_factory=dict)
    """By variant: a later `resume` has discarded the steps after this one."""
    ends: Mapping[str, Any] | None = None
    """The end that the last resume set, if it set one."""

    def past(self, planned: int | None) -> bool:
        """Whether more steps were taken than planned at first: a resume has set a later end."""
        return planned is not None and max(self.step.values(), default=0) > planned

    def add(self, record: Record) -> None:
        if isinstance(record, EndRecord):
            for variant, numbers in record.models.items():
                self._add_numbers(variant, numbers)
        elif isinstance(record, ResumeRecord):
            self.ends = record.ends if self.ends is None else self.ends
            for variant, step in record.models.items():
                self.step.setdefault(variant, step)
                self.last_valid[variant] = min(step, self.last_valid.get(variant, math.inf))
        elif isinstance(record, EvalRecord | TrainRecord) and self._is_valid(record):
            self.step.setdefault(record.model, record.step)
            if isinstance(record, EvalRecord):
                self.best.setdefault(record.model, record.best_val_loss)
                self.wall_seconds.setdefault(record.model, record.wall_seconds)

    def _is_valid(self, record: EvalRecord | TrainRecord) -> bool:
        return record.step <= self.last_valid.get(record.model, math.inf)

    def _add_numbers(self, variant: str, numbers: Mapping[str, Any]) -> None:
        step, best, wall = (numbers.get(k) for k in ("step", "best_val_loss", "wall_seconds"))
        if isinstance(step, int):
            self.step.setdefault(variant, step)
        if isinstance(best, int | float):
            self.best.setdefault(variant, float(best))
        if isinstance(wall, int | float):
            self.wall_seconds.setdefault(variant, float(wall))


def _read_end(path: Path, size: int, variants: tuple[str, ...], planned: int | None) -> _End:
    end = _End()
    try:
        for line in lines_backwards(path / METRICS, size):
            if _is_relevant(line, steps_known=len(end.step) >= max(1, len(variants))) and (
                record := parsed(line)
            ):
                end.add(record)
            told = variants and all(v in end.best for v in variants)
            if told and (end.ends is not None or not end.past(planned)):
                break
    except OSError:
        pass
    return end


def _is_relevant(line: bytes, *, steps_known: bool) -> bool:
    """Whether to parse a line; train records, nearly all of them, only until the step is known."""
    return has_kind(line, *_KINDS) or (not steps_known and has_kind(line, "train"))
