"""The metrics of a run as tables: one per kind of record, one NumPy array per column.

Both variants are in one table, told apart by its column `model`. What is nested becomes columns of
its own: `load[2][1]` of a routing record is `load_layer_2_expert_1`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from tinygpt.errors import RunError
from tinygpt.run.columns import Item, TrainColumns
from tinygpt.run.layout import VARIANTS, StrPath
from tinygpt.run.lookup import run_of
from tinygpt.run.reader import MetricsReader
from tinygpt.run.records import EndRecord, Record, ResumeRecord, StartRecord, TrainRecord

Table: TypeAlias = dict[str, npt.NDArray[Any]]
"""Columns of equal length, by name."""

KINDS = tuple(record.kind for record in get_args(Record))
"""Of records, each with a table of its own."""

FIRST = ("model", "step", "tokens", "epoch", "time")
"""The first columns of each table, those that it has; the others follow as in the records."""

_SESSIONS = ("start", "resume", "end")
"""Kinds of which a record is of several models."""
_TRAIN = tuple(field.name for field in dataclasses.fields(TrainRecord))
_WHOLE = ("step", "tokens")
_TEXTS = ("error", "note", "data")
"""Texts that may be missing in all records."""
_DEPTHS = ("layer", "expert")


def read_metrics(run: StrPath) -> dict[str, Table]:
    """All metrics of a run, also of one that is being trained: kind of record -> column -> array.

    The kinds are those of metrics.jsonl: train, eval, sample, routing, checkpoint, start, resume
    and end; those without a record are absent. A table has one row per record, sorted by step and
    then by model; start, resume and end have one row per model, in the order of time. `model` is
    "dense" or "moe", losses are in nats per token, `time` is in unix seconds. Whole numbers are
    int64, others float64 with NaN where there is none, text is of dtype object. What a resume
    rewound is left out. With pandas: `pandas.DataFrame(tinygpt.read_metrics(run)["train"])`.

    Args:
        run: a run directory, or that of a variant or step in it: its run is read.

    Raises:
        RunError: it is no run, or its metrics cannot be read.
    """
    path = run_of(Path(run))
    if path is None:
        raise RunError(f"{run} is not a run: it has none of a run's files")
    reader, tables = MetricsReader(path), _Tables()
    while items := reader.read_bulk():
        if reader.restarted:  # the file was replaced
            tables = _Tables()
        for item in items:
            tables.add(item)
    return tables.finished()


class _Tables:
    """The rows so far, in the order of the file."""

    def __init__(self) -> None:
        self._train: list[TrainColumns] = []
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def add(self, item: Item) -> None:
        if isinstance(item, TrainColumns):
            self._train.append(item)
            return
        if isinstance(item, ResumeRecord):
            self._rewind(item.models)
        self._rows.setdefault(item.kind, []).extend(_rows(item))

    def _rewind(self, steps: Mapping[str, int]) -> None:
        """Drop what the resumed training writes again, as `drop_rewound` does."""
        self._train = [
            _up_to(part, steps[part.model]) if part.model in steps else part for part in self._train
        ]
        for kind, rows in self._rows.items():
            if kind not in _SESSIONS:
                rows[:] = [
                    row for row in rows if row["step"] <= steps.get(row["model"], row["step"])
                ]

    def finished(self) -> dict[str, Table]:
        found: dict[str, Table] = {}
        for kind in KINDS:
            if kind == "train" and any(len(part.step) for part in self._train):
                found[kind] = _train_table(self._train)
            elif rows := self._rows.get(kind):
                if kind not in _SESSIONS:
                    rows.sort(key=lambda row: (row["step"], VARIANTS.index(row["model"])))
                found[kind] = _table(rows)
        return found


def _up_to(part: TrainColumns, step: int) -> TrainColumns:
    kept = part.step <= step
    columns = {name: getattr(part, name)[kept] for name in _TRAIN if name != "model"}
    return dataclasses.replace(part, **columns)


def _train_table(parts: Sequence[TrainColumns]) -> Table:
    models = np.concatenate([np.full(len(part.step), VARIANTS.index(part.model)) for part in parts])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _TRAIN
        if name != "model"
    }
    order = np.lexsort((models, columns["step"]))
    table: Table = {name: column[order] for name, column in columns.items()}
    table |= {name: table[name].astype(np.int64) for name in _WHOLE}
    table["model"] = np.array(VARIANTS)[models[order]]
    return _ordered(table)


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    """The rows of a record: one, or if it is of several models, one for each."""
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    if not isinstance(record, StartRecord | ResumeRecord | EndRecord):
        yield dict(_flat(values))
        return
    by_model: Mapping[str, Any] = values.pop("models")
    for model, own in by_model.items():
        mine = own if isinstance(own, Mapping) else {"step": own}
        row = {"model": model, "step": 0, **dict(_flat(values)), **dict(_flat(mine))}
        yield row
    if not by_model:
        yield {"model": "", "step": 0, **dict(_flat(values))}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as columns: keys joined by "_", lists by layer, and by expert within that."""
    for key, value in values.items():
        yield from _flat_value(f"{prefix}{key}", value, 0)


def _flat_value(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from _flat(value, f"{name}_")
    elif isinstance(value, list):
        of = _DEPTHS[depth] if depth < len(_DEPTHS) else str(depth)
        for index, inner in enumerate(value):
            yield from _flat_value(f"{name}_{of}_{index}", inner, depth + 1)
    else:
        yield name, value


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return _ordered({name: _column([row.get(name) for row in rows], name) for name in names})


def _column(values: list[Any], name: str) -> npt.NDArray[Any]:
    """int64, bool, float64 with NaN for None, or else objects."""
    if name == "model":
        return np.array(values)
    kinds = {type(value) for value in values} | ({str} if name in _TEXTS else set())
    if kinds == {int}:
        return np.array(values, np.int64)
    if kinds == {bool}:
        return np.array(values, np.bool_)
    if kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _ordered(table: Table) -> Table:
    first = [name for name in FIRST if name in table]
    return {name: table[name] for name in dict.fromkeys([*first, *table])}
