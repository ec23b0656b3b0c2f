"""How much room a run takes on disk, and which of its files take it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinygpt.run.layout import VARIANTS, StrPath, parse_step
from tinygpt.run.meta import TRAINING


@dataclass(frozen=True, slots=True)
class CheckpointSize:
    """One checkpoint on disk, in bytes."""

    variant: str
    step: int
    total: int
    training: int
    """Of its training state, without which it cannot be resumed; 0 if that was deleted."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The room that a run directory takes, in bytes, as the sizes of its files."""

    total: int
    checkpoints: tuple[CheckpointSize, ...]
    """By variant, then by step."""
    others: Mapping[str, int]
    """By the name in the run directory: what is not part of a checkpoint."""
    free: int | None
    """Bytes free on its disk; None if that cannot be told."""


def disk_use(run: StrPath) -> DiskUse:
    """Measure a run directory. What links point to is not counted; what cannot be read is left
    out, as files may be deleted meanwhile."""
    whole: Counter[tuple[str, int]] = Counter()
    training: Counter[tuple[str, int]] = Counter()
    others: Counter[str] = Counter()
    for parts, size in _files(Path(run)):
        step = parse_step(parts[1]) if len(parts) > 2 and parts[0] in VARIANTS else None
        if step is None:
            others[parts[0]] += size
            continue
        whole[parts[0], step] += size
        training[parts[0], step] += size if parts[2] == TRAINING else 0
    order = sorted(whole, key=lambda key: (VARIANTS.index(key[0]), key[1]))
    checkpoints = tuple(CheckpointSize(*key, whole[key], training[key]) for key in order)
    total = whole.total() + others.total()
    return DiskUse(total, checkpoints, dict(others.most_common()), _free(run))


def free_bytes(folder: StrPath) -> int | None:
    """Bytes free on the disk of a folder that may not exist yet; None if that cannot be told."""
    path = Path(folder).absolute()
    return next((free for p in (path, *path.parents) if (free := _free(p)) is not None), None)


def _files(run: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every file: its path relative to the run in parts, and its size."""
    for folder, _, names in os.walk(run):
        for name in names:
            file = Path(folder, name)
            try:
                yield file.relative_to(run).parts, file.lstat().st_size
            except OSError:
                continue


def _free(run: StrPath) -> int | None:
    try:
        return shutil.disk_usage(run).free
    except OSError:
        return None
