"""What a tracker is given, and what it has to do with it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tinygpt.run.layout import RUN_TOML, TOKENIZER
from tinygpt.run.meta import META, WEIGHTS

Summary: TypeAlias = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All that one variant recorded at one step; `time` in unix seconds."""

    step: int
    time: float
    scalars: dict[str, float] = field(default_factory=dict)
    """By tag, such as "val/loss". Dense and MoE have the same tags, in a tracked run each."""
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """One variant of a run, which is one run in a tracker."""

    path: Path
    """The run directory."""
    folder: Path
    """Where this tracker keeps its files, in the run directory."""
    variant: str
    group: str
    """What a tracker that has groups shows together: the runs of a group, or else the variants."""
    id: str
    """Hexadecimal digits that no other tracked run has; the same after a resume."""
    sent: int
    """The last step that was sent before; -1 if none was."""
    live: bool
    """Whether it is being trained, so that what the machine does belongs to it."""
    config: Mapping[str, Any]
    """The tables of run.toml, with the sizes of this variant."""

    @property
    def name(self) -> str:
        """The run and the variant, such as "nano/dense"."""
        return f"{self.path.resolve().name}/{self.variant}"

    def files(self, model: Path) -> dict[str, Path]:
        """The files of a checkpoint by their names in an artifact, which `tinygpt.load` reads as a
        run; without the state for a resume."""
        files = [model / WEIGHTS, model / META, self.path / TOKENIZER, self.path / RUN_TOML]
        return {str(file.relative_to(self.path)): file for file in files if os.path.isfile(file)}


class Tracker(ABC):
    """A run in a tracker, open for writing. Whatever it raises is told to the user in one sentence,
    and ends the tracking, not the training."""

    where: str = ""
    """Where to look at it, for the user; said once if it is the same for both variants."""
    last_step: int = -1
    """The last step that the tracker itself remembers of this run, where it does: the process that
    sent it may have been killed before it noted so."""

    @abstractmethod
    def __init__(self, run: TrackedRun) -> None:
        """Open a new run, or continue the one with this id."""

    @abstractmethod
    def log(self, row: Row) -> None:
        """Send a row; steps only ever increase."""

    def flush(self) -> None:  # noqa: B027 - not all need it
        """Return when what was logged would survive this process."""

    @abstractmethod
    def finish(self, summary: Summary, model: Path | None, *, failed: bool) -> None:
        """Close the run. `model` is the folder of the checkpoint to send, if one is wanted."""
