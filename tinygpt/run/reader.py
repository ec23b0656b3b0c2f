"""Reads metrics.jsonl while another process appends to it, by byte offset.

The reader remembers the offset after the last whole line, and each call reads from there. To notice
that the file was replaced in the meantime, it compares the bytes at both ends of the part it has
read: a file that only grew has the same ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_regular
from tinygpt.run.columns import Item, UndecodableError, decode, group
from tinygpt.run.layout import METRICS, StrPath
from tinygpt.run.lines import parse_record
from tinygpt.run.records import (
    EndRecord,
    EvalRecord,
    Record,
    ResumeRecord,
    StartRecord,
    drop_rewound,
)

LONGEST_LINE = 1 << 20
"""Bytes. A routing record of a deep model takes a few kilobytes; a longer line is damage, and is
skipped without holding it in memory."""

_MARK = 64  # bytes compared at each end of the part that was read
_TAIL = 1 << 16  # bytes at the end of the file that are searched for the last record
_SLOW_LINES = 10_000  # records per call if bulk decoding fails


class MetricsReader:
    """Returns the new records of the run directory `path` at each call; keeps no file open.

    Lines that are not records are skipped and counted in `skipped`, kinds of a newer version in
    `unknown`. An incomplete last line waits for its newline. If the file shrinks, vanishes or is
    replaced by another, reading starts over: `restarted` is then True until the next call, and that
    call returns records from the beginning. A copy that rsync updates counts as the same file.
    """

    offset: int
    skipped: int
    unknown: int
    _overlong: bool
    _head: bytes
    _tail: bytes

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path, METRICS)
        self._start_over()
        self.restarted = False

    def read(self, limit: int | None = None) -> list[Record]:
        """Up to `limit` new records (None: all); [] if there are none.

        Memory is bounded by the records returned. Raises RunError if the file exists and cannot be
        read.
        """
        self.restarted = False
        try:
            with open_regular(self.path) as file:
                return self._read(file, limit)
        except FileNotFoundError:
            self._restart_if(replaced=self.offset > 0)
            return []
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror}") from error

    def read_bulk(self, size: int = 1 << 23) -> list[Item]:
        """Like `read`, with train records as columns, about `size` bytes at a time; [] at the end.

        A million records take half a second, with `read` eight.
        """
        self.restarted = False
        try:
            with open_regular(self.path) as file:
                return self._read_bulk(file, size)
        except FileNotFoundError:
            self._restart_if(replaced=self.offset > 0)
            return []
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror}") from error

    def read_all(self) -> Iterator[Item]:
        """All new items, read by `read_bulk`."""
        while items := self.read_bulk():
            yield from items

    def has_more(self) -> bool:
        """Whether the file is longer than what was read."""
        try:
            return self.path.stat().st_size > self.offset
        except OSError:
            return False

    def _read_bulk(self, file: BinaryIO, size: int) -> list[Item]:
        self._restart_if(replaced=self._marks(file) != (self._head, self._tail))
        file.seek(self.offset)
        data = file.read(max(size, LONGEST_LINE))
        data = data[: data.rfind(b"\n") + 1]
        try:
            if self._overlong or not data:
                raise UndecodableError
            items, unknown = decode(data)
        except UndecodableError:
            return group(self._read(file, _SLOW_LINES))
        self.offset += len(data)
        self.unknown += unknown
        self._head, self._tail = self._marks(file)
        return items

    def _read(self, file: BinaryIO, limit: int | None) -> list[Record]:
        self._restart_if(replaced=self._marks(file) != (self._head, self._tail))
        file.seek(self.offset)
        records: list[Record] = []
        if limit is None or limit > 0:
            for line in self._lines(file):
                self._collect(line, records)
                if len(records) == limit:
                    break
        self._head, self._tail = self._marks(file)
        return records

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """Whole lines; when one is yielded, `offset` is already after it."""
        while piece := file.readline(LONGEST_LINE):
            whole = piece.endswith(b"\n")
            if not whole and len(piece) < LONGEST_LINE:
                return
            self.offset += len(piece)
            if whole and not self._overlong:
                yield piece
            elif not self._overlong:
                self.skipped += 1
            self._overlong = not whole

    def _collect(self, line: bytes, records: list[Record]) -> None:
        try:
            record = parse_record(line)
        except RunError:
            self.skipped += 1
            return
        if record is None:
            self.unknown += 1
        else:
            records.append(record)

    def _marks(self, file: BinaryIO) -> tuple[bytes, bytes]:
        size = min(_MARK, self.offset)
        file.seek(0)
        head = file.read(size)
        file.seek(self.offset - size)
        return head, file.read(size)

    def _restart_if(self, *, replaced: bool) -> None:
        if replaced:
            self._start_over()
            self.restarted = True

    def _start_over(self) -> None:
        self.offset = 0  # bytes: right after a newline, or inside an overlong line
        self.skipped = 0  # lines
        self.unknown = 0  # lines
        self._overlong = False
        self._head = self._tail = b""


def first_record(path: StrPath) -> StartRecord | None:
    """The `start` record of the run directory `path`, None if missing or unreadable."""
    try:
        with open_regular(Path(path, METRICS)) as file:
            record = parse_record(file.readline(LONGEST_LINE))
    except (OSError, RunError):
        return None
    return record if isinstance(record, StartRecord) else None


def evaluations(path: StrPath) -> dict[str, list[EvalRecord]]:
    """All evaluations of the run directory `path` that no resume has superseded, by variant.

    Raises:
        RunError: its metrics cannot be read.
    """
    items = MetricsReader(path).read_all()
    records = drop_rewound(i for i in items if isinstance(i, EvalRecord | ResumeRecord))
    found: dict[str, list[EvalRecord]] = {}
    for record in records:
        if isinstance(record, EvalRecord):
            found.setdefault(record.model, []).append(record)
    return found


def last_end(path: StrPath) -> EndRecord | None:
    """The `end` record of the run directory `path` if it is the last whole record, else None."""
    try:
        with open_regular(Path(path, METRICS)) as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            lines = file.read().split(b"\n")[:-1]
        record = parse_record(lines[-1]) if lines else None
    except (OSError, RunError):
        return None
    return record if isinstance(record, EndRecord) else None
