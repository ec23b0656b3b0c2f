"""What is looked at, as files for other programs; each appears whole or not at all.

On NumPy alone, so that the interface and the command line write the same files.

Letters: L layers, H heads, T tokens, E experts, K experts a token. Layers, heads, positions and
experts count from 0, as the arrays do.
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
    """A map (T, T) of attention: a row a query, a column a key, each called by position and token.

    Raises:
        OSError: it cannot be written.
    """
    names = [f"{position} {readable(token)}" for position, token in enumerate(tokens)]
    rows = ([name, *_numbers(row)] for name, row in zip(names, matrix, strict=True))
    _write(path, ["query", *names], rows)


def write_heads_csv(path: Path, statistics: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    """Statistics (L, H) by name: a row a head. What there is no value for is an empty cell.

    Raises:
        OSError: it cannot be written.
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
    """Who read what: a row a layer and token. For Dense, the names of the columns alone.

    Args:
        path: the file.
        tokens: (T,).
        router: (L, T, E) probabilities.
        choice: (L, T) the expert, or (L, T, K), several with a space in between.

    Raises:
        OSError: it cannot be written.
    """
    columns = ["layer", "position", "token", "expert"]
    if router is None or choice is None:
        _write(path, columns, [])
        return
    several = choice.reshape(*router.shape[:2], -1)
    rows = (
        [
            layer,
            position,
            readable(tokens[position]),
            " ".join(map(str, several[layer, position])),
            *_numbers(router[layer, position]),
        ]
        for layer, position in np.ndindex(*router.shape[:2])
    )
    _write(path, columns + [f"probability {e}" for e in range(router.shape[2])], rows)


def write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Arrays by name, compressed, for `numpy.load`, which needs no pickle for them.

    Raises:
        OSError: it cannot be written.
    """
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    atomic.write_bytes(path, data.getvalue())


def readable(token: str) -> str:
    r"""A token that keeps to its line: what is not printable, and a backslash, as Python's escape.

    A newline is ``\n``.
    """
    shown = token.replace("\\", "\\\\")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _numbers(values: Iterable[Any]) -> list[str]:
    """Each as briefly as fp32 can be written and read back; nan is empty."""
    return ["" if np.isnan(value) else str(np.float32(value)) for value in values]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    atomic.write_text(path, text.getvalue())
