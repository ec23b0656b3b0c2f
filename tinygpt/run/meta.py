"""meta.json: the description of a checkpoint. It is read without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygpt.errors import CheckpointError
from tinygpt.files import safe_open
from tinygpt.run.layout import VARIANTS
from tinygpt.run.lines import LARGEST

FORMAT = 1
META = "meta.json"
WEIGHTS = "model.safetensors"
TRAINING = "training.safetensors"
BEFORE = "before"
"""In the entry of a file that is being replaced: the entry of the file before it."""
EARLIER_MODEL = {"conv_size": 1, "tie_embeddings": False}
"""What the "model" of a description means where it does not say so: the first models had no
convolution, later ones no tied embeddings."""
EARLIER_MOE = {"balance_over": "micro-batch"}
"""The same for its "moe"."""
LARGEST_META = 1 << 20
"""Bytes of the largest ``meta.json`` that is read."""

_REQUIRED = {
    "variant": str,
    "step": int,
    "tokens": int,
    "model": dict,
    "progress": dict,
    "files": dict,
}


def read_meta(folder: Path) -> dict[str, Any]:
    """The description of the checkpoint in `folder`, with valid values.

    Raises:
        CheckpointError: it is missing or damaged, or of a newer version.
    """
    file = folder / META
    try:
        text = safe_open.read_text(file, LARGEST_META)
        meta = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not strict JSON in UTF-8: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
        raise CheckpointError(f"{file} does not describe a checkpoint")
    if meta["format"] > FORMAT:
        raise CheckpointError(
            f"{file} was written by a newer version: upgrade tinygpt-tui to read it"
        )
    _check(meta, file)
    return meta


def recorded(meta: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    """What the description says of one of its files; empty if nothing.

    While a file is being replaced, it may be the new one, which comes first, or the one before.
    """
    found = meta["files"].get(name)
    if not isinstance(found, dict):
        return ({},)
    before = found.get(BEFORE)
    return (found, before) if isinstance(before, dict) else (found,)


def check_size(file: Path, size: int, recorded: object) -> None:
    """Raises CheckpointError if `file` has another size, in bytes, than was recorded."""
    if size != recorded:
        raise CheckpointError(f"{file} is not the file that was saved: it has {size:,} bytes")


def _finite(text: str) -> float:
    """A number in JSON, where Python also reads NaN, Infinity and 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _check(meta: dict[str, Any], file: Path) -> None:
    """Raises CheckpointError if a value is not valid."""
    for key, kind in _REQUIRED.items():
        if not isinstance(meta.get(key), kind) or isinstance(meta[key], bool):
            raise CheckpointError(f"{file} has no valid {key!r}")
    for key in ("step", "tokens"):
        if not 0 <= meta[key] < LARGEST:
            raise CheckpointError(f"{file} has no valid {key!r}")
    if meta["variant"] not in VARIANTS:
        raise CheckpointError(f"{file} has an unknown variant {meta['variant']!r}")
    if not isinstance(meta.setdefault("val_loss", None), float | None):
        raise CheckpointError(f"{file} has no valid 'val_loss'")
    if meta.setdefault("pending", None) not in (None, "probe", "evaluation"):
        raise CheckpointError(f"{file} has no valid 'pending'")
