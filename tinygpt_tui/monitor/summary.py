"""A run in a few numbers, read from the two ends of its metrics file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinygpt.errors import TinyGPTError
from tinygpt.files.safe_open import open_regular
from tinygpt.run import (
    METRICS,
    EndRecord,
    EvalRecord,
    Record,
    ResumeRecord,
    TrainRecord,
    parse_record,
    read_config,
)
from tinygpt.run.reader import first_record

_BLOCK = 1 << 16
_MAX_BYTES = 1 << 22
"""Bytes from the end that are searched for an evaluation: about twenty thousand steps."""
_HEAD = 64
"""Bytes at the start of a line that include its kind."""
_RELEVANT = tuple(f'"{kind}"'.encode() for kind in ("eval", "resume", "end"))


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
    end = _read_end(path, size, tuple(start.models) if start else ())
    parameters = {}
    for variant, counts in start.models.items() if start else ():
        total, active = counts.get("params_total"), counts.get("params_active")
        if isinstance(total, int) and isinstance(active, int):
            parameters[variant] = (total, active)
    return Summary(
        best=MappingProxyType(end.best),
        step=max(end.step.values(), default=None),
        steps=start.steps if start else None,
        wall_seconds=max(end.wall_seconds.values(), default=None),
        parameters=MappingProxyType(parameters),
        device=start.device if start else None,
        context=start.context if start else None,
        settings=_settings(path),
    )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        return MappingProxyType(read_config(path))
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

    def add(self, record: Record) -> None:
        if isinstance(record, EndRecord):
            for variant, numbers in record.models.items():
                self._add_numbers(variant, numbers)
        elif isinstance(record, ResumeRecord):
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


def _read_end(path: Path, size: int, variants: tuple[str, ...]) -> _End:
    end = _End()
    try:
        for line in lines_backwards(path / METRICS, size):
            if _is_relevant(line, steps_known=len(end.step) >= max(1, len(variants))) and (
                record := _parse(line)
            ):
                end.add(record)
            if variants and all(v in end.best for v in variants):
                break
    except OSError:
        pass
    return end


def _is_relevant(line: bytes, *, steps_known: bool) -> bool:
    """Whether to parse a line; train records, nearly all of them, only until the step is known."""
    head = line[:_HEAD]
    return any(kind in head for kind in _RELEVANT) or (not steps_known and b'"train"' in head)


def _parse(line: bytes) -> Record | None:
    try:
        return parse_record(line)
    except TinyGPTError:
        return None


def lines_backwards(file: Path, size: int) -> Iterator[bytes]:
    """The complete lines of a file, last one first, from its last `_MAX_BYTES`."""
    rest, position, torn = b"", size, True
    with open_regular(file) as opened:
        while position > max(0, size - _MAX_BYTES):
            begin = max(0, position - _BLOCK)
            opened.seek(begin)
            block = opened.read(position - begin) + rest
            rest, *lines = block.split(b"\n")
            if lines and torn:
                lines.pop()  # after the last newline: empty or incomplete
                torn = False
            yield from reversed(lines)
            position = begin
        if position == 0 and not torn:
            yield rest
