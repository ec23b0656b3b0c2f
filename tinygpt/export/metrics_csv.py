"""The metrics of a run as CSV: a file per kind of record, both models in each, a row per step."""

from __future__ import annotations

import csv
from pathlib import Path

from tinygpt.errors import ConfigError
from tinygpt.export.folder import export_folder
from tinygpt.files.safe_open import open_regular
from tinygpt.run.layout import StrPath
from tinygpt.run.metrics import FIRST, KINDS, Table, read_metrics

FILES = frozenset(f"{kind}.csv" for kind in KINDS)
_ROWS = 4096
"""Rows that are formatted at a time."""


def export_csv(run: StrPath, target: StrPath) -> list[Path]:
    """Write the tables of `tinygpt.read_metrics` to the new folder `target`; returns the files.

    Numbers have all their digits; where there is none it is nan, a missing text is empty. An
    earlier export there is replaced.

    Raises:
        RunError: the metrics cannot be read.
        ConfigError: there are none, or `target` holds something else or cannot be written.
    """
    tables = read_metrics(run)
    if not tables:
        raise ConfigError(f"--export csv: {run} has no metrics yet")
    with export_folder(target, FILES, is_export) as (folder, final):
        for kind, table in tables.items():
            _write(folder / f"{kind}.csv", table)
    return [final / f"{kind}.csv" for kind in tables]


def is_export(folder: Path) -> bool:
    """Whether the files of a folder, which have the names of an export, are one: tables of other
    programs begin with other columns."""
    start = ",".join(FIRST[:2]).encode() + b","
    for name in FILES:
        try:
            with open_regular(folder / name) as file:
                if file.read(len(start)) != start:
                    return False
        except FileNotFoundError:
            continue
    return True


def _write(path: Path, table: Table) -> None:
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        for start in range(0, len(next(iter(table.values()))), _ROWS):
            # Python's own numbers are written with the fewest digits that restore them.
            cells = [column[start : start + _ROWS].tolist() for column in table.values()]
            writer.writerows(zip(*cells, strict=True))
