"""Runs of a group that differ in their seed alone count as one where runs are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinygpt.errors import TinyGPTError
from tinygpt.run import read_config
from tinygpt.run.group import Place, place_of


@dataclass(frozen=True, slots=True)
class SameSetting:
    """Runs that differ in their seed alone, or one run."""

    name: str
    """What they are called without their seed; the name of one run."""
    paths: tuple[Path, ...]


def by_setting(paths: Sequence[Path], places: Mapping[Path, Place | None]) -> list[SameSetting]:
    """The runs put together by their place in a group, in the order of the first one of each."""
    found: dict[Place | Path, list[Path]] = {}
    for path in paths:
        found.setdefault(places.get(path) or path, []).append(path)
    return [
        SameSetting(
            key.setting if isinstance(key, Place) and len(runs) > 1 else runs[0].name, tuple(runs)
        )
        for key, runs in found.items()
    ]


def without_alone(
    paths: Sequence[Path], open_run: Path | None, places: Mapping[Path, Place | None]
) -> list[Path]:
    """The runs to overlay: the open one only as one of several seeds, to be part of their mean."""
    alone = {(runs.paths[0]) for runs in by_setting(paths, places) if len(runs.paths) == 1}
    return [path for path in paths if path != open_run or path not in alone]


def read_places(paths: Iterable[Path]) -> dict[Path, Place | None]:
    """The place of each run in its group, from the disk; None for a run without one."""
    return {path: read_place(path) for path in paths}


def read_place(path: Path) -> Place | None:
    """The place of a run in its group; None without one."""
    try:
        return place_of(path, read_config(path))
    except TinyGPTError:
        return None
