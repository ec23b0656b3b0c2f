"""GPU load while a run is watched. No record holds it, so it begins when the app opens the run."""

from __future__ import annotations

from dataclasses import dataclass

from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine

LIMIT = 2000
"""Readings that are kept: one every two seconds for an hour, of later ones every second, and so
on."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """The load of each GPU, in percent; NaN where a value is unavailable."""

    step: int
    """Latest step of the run at that time."""
    seconds: float
    """Training seconds of the variant that had taken it."""
    load: tuple[float, ...]
    memory: tuple[float, ...]


class GpuReadings:
    """A bounded series of readings over the whole time: when it is full, every second one goes."""

    def __init__(self) -> None:
        self.values: list[GpuReading] = []
        self.version = 0
        """Grows with every reading."""
        self._every = 1

    def add(self, machine: Machine, history: History) -> None:
        """Take a reading at the latest step of the run; readings of steps that a resume has taken
        back go."""
        variants = [v for v in history.variants.values() if v.last]
        if not machine.gpus or not variants:
            return
        first = max(variants, key=lambda v: v.last.step if v.last else 0)
        assert first.last is not None
        step, seconds = first.last.step, first.last.train_seconds
        self.version += 1
        self.values = [r for r in self.values if r.step <= step]
        if self.version % self._every:
            return
        load = tuple(_known(gpu.percent) for gpu in machine.gpus)
        memory = tuple(_percent(gpu.memory_used, gpu.memory_total) for gpu in machine.gpus)
        self.values.append(GpuReading(step, seconds, load, memory))
        if len(self.values) > LIMIT:
            self.values = self.values[::2]
            self._every *= 2


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _percent(part: float | None, whole: float | None) -> float:
    return 100 * part / whole if part is not None and whole else float("nan")
