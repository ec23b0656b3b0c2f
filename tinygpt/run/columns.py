"""Bulk decoding of train records: a run of a million steps as arrays, in a second or two.

One Python object per record is fine for the rare kinds, but too slow for the train records, which
are most of a file. So consecutive train records are decoded together into arrays; msgspec reads
only the fields named here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np

from tinygpt.errors import RunError
from tinygpt.run.lines import LARGEST, parse_record
from tinygpt.run.records import Record, TrainRecord

Floats: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float64]]"


@dataclass(frozen=True, slots=True)
class TrainColumns:
    """Consecutive train records of one model; arrays of equal length."""

    model: str
    time: Floats
    """Unix seconds."""
    step: Floats
    tokens: Floats
    epoch: Floats
    loss: Floats
    """Nats per token; NaN and infinities as measured."""
    lr: Floats
    grad_norm: Floats
    tokens_per_second: Floats
    train_seconds: Floats
    last: TrainRecord
    """The newest of these records, with all fields."""


Item: TypeAlias = Record | TrainColumns


class _Row(msgspec.Struct, gc=False):
    """The fields of a line that are decoded in bulk."""

    kind: str
    model: str = ""
    time: float = -1.0
    step: int = -1
    tokens: int = -1
    epoch: float | str = "NaN"
    loss: float | str = "NaN"
    lr: float | str = "NaN"
    grad_norm: float | str = "NaN"
    tokens_per_second: float | str = "NaN"
    train_seconds: float | str = "NaN"


class _Lines:
    """The lines of a buffer by number, sliced only on demand."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> bytes:
        start = int(self._ends[index - 1]) + 1 if index else 0
        return self._data[start : int(self._ends[index])]


_NUMBERS = (
    *("time", "step", "tokens", "epoch", "loss", "lr", "grad_norm"),
    *("tokens_per_second", "train_seconds"),
)
"""The fields of a train record that become columns."""

_DECODER = msgspec.json.Decoder(_Row)


class UndecodableError(Exception):
    """The lines cannot be decoded in bulk and must be parsed one by one."""


def decode(data: bytes) -> tuple[list[Item], int]:
    """Whole lines of metrics.jsonl -> items in order, and the number of records of unknown kind.

    Raises:
        UndecodableError: a line is damaged.
    """
    try:
        rows = _DECODER.decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError from error
    lines = _Lines(data)
    if len(lines) != len(rows):  # an empty line, which msgspec skips
        raise UndecodableError
    items: list[Item] = []
    unknown, start = 0, 0
    for index, row in enumerate(rows):
        if row.kind == "train":
            continue
        items += _columns(rows, lines, start, index)
        start = index + 1
        record = _record(lines[index])
        unknown += record is None
        items += [] if record is None else [record]
    items += _columns(rows, lines, start, len(rows))
    return items, unknown


def group(records: Sequence[Record]) -> list[Item]:
    """The items that `decode` would return, from records that were parsed one by one."""
    items: list[Item] = []
    run: list[TrainRecord] = []
    for record in [*records, None]:
        if isinstance(record, TrainRecord):
            run.append(record)
            continue
        for model in dict.fromkeys(r.model for r in run):
            own = [r for r in run if r.model == model]
            items.append(
                TrainColumns(
                    model=model,
                    last=own[-1],
                    **{n: np.array([getattr(r, n) for r in own], np.float64) for n in _NUMBERS},
                )
            )
        run = []
        if record is not None:
            items.append(record)
    return items


def _columns(rows: Sequence[_Row], lines: _Lines, start: int, end: int) -> Iterator[TrainColumns]:
    """Rows start to end, all train records, as one `TrainColumns` per model."""
    last = {rows[index].model: index for index in range(start, end)}
    for model, index in last.items():
        own = [row for row in rows[start:end] if row.model == model]
        record = _record(lines[index])
        steps = [row.step for row in own]
        if not isinstance(record, TrainRecord) or min(steps) < 0 or max(steps) >= LARGEST:
            raise UndecodableError
        yield TrainColumns(
            model=model,
            last=record,
            **{name: _floats([getattr(row, name) for row in own]) for name in _NUMBERS},
        )


def _floats(values: list[float | str]) -> Floats:
    """Numbers, or the strings that stand for NaN and infinities in JSON."""
    try:
        return np.array(values, np.float64)  # NumPy parses "NaN" and "Infinity"
    except (ValueError, OverflowError) as error:
        raise UndecodableError from error


def _record(line: bytes) -> Record | None:
    try:
        return parse_record(line)
    except RunError as error:
        raise UndecodableError from error
