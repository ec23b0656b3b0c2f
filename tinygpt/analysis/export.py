"""Exports attention, head statistics and routing as CSV and NPZ; files are written atomically.

In NumPy, so that the interface and the command line write the same files, both without torch.

Letters: L layers, H heads, T tokens, E experts, K experts per token. Layers, heads, positions and
experts count from 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygpt.files import atomic


def write_map_csv(path: Path, matrix: NDArray[np.floating[Any]], tokens: Sequence[str]) -> None:
    """An attention map (T, T): one row per query, one column per key, named by position and token.

    Raises:
        OSError: the file cannot be written.
    """
    names = [f"{position} {readable(token)}" for position, token in enumerate(tokens)]
    rows = ([name, *_numbers(row)] for name, row in zip(names, matrix, strict=True))
    _write(path, ["query", *names], rows)


def write_heads_csv(path: Path, statistics: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    """Head statistics, name -> (L, H): one row per head. A missing value (nan) is an empty cell.

    Raises:
        OSError: the file cannot be written.
    """
    shape = next(iter(statistics.values())).shape
    rows = (
        [layer, head, *_numbers(table[layer, head] for table in statistics.values())]
        for layer, head in np.ndindex(*shape)
    )
    _write(path, ["layer", "head", *statistics], rows)


def write_routing_csv(
    path: Path,
    tokens: Sequence[str],
    router: NDArray[np.floating[Any]] | None,
    choice: NDArray[np.integer[Any]] | None,
) -> None:
    """Routing: one row per layer and token. For Dense, only the header.

    Args:
        path: the file.
        tokens: (T,).
        router: (L, T, E) probabilities.
        choice: (L, T) the expert, or (L, T, K), written with spaces in between.

    Raises:
        OSError: the file cannot be written.
    """
    columns = ["layer", "position", "token", "expert"]
    if router is None or choice is None:
        _write(path, columns, [])
        return
    experts = choice.reshape(*router.shape[:2], -1)
    rows = (
        [
            layer,
            position,
            readable(tokens[position]),
            " ".join(map(str, experts[layer, position])),
            *_numbers(router[layer, position]),
        ]
        for layer, position in np.ndindex(*router.shape[:2])
    )
    _write(path, columns + [f"probability {e}" for e in range(router.shape[2])], rows)


def write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Named arrays, compressed, for `numpy.load`; no pickle is needed.

    Raises:
        OSError: the file cannot be written.
    """
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    atomic.write_bytes(path, data.getvalue())


def readable(token: str) -> str:
    r"""A token on one line: backslashes and unprintable characters as escapes, like ``\n``."""
    shown = token.replace("\\", "\\\\")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _numbers(values: Iterable[Any]) -> list[str]:
    """Each with the fewest digits that restore the fp32 value; nan is empty."""
    return ["" if np.isnan(value) else str(np.float32(value)) for value in values]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    atomic.write_text(path, text.getvalue())
