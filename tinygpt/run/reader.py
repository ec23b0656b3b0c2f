"""Reading metrics.jsonl while another process appends to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tinygpt.errors import RunError
from tinygpt.files.safe_open import open_regular
from tinygpt.run.columns import Item, UndecodableError, decode, group
from tinygpt.run.layout import METRICS, StrPath
from tinygpt.run.lines import parse_record
from tinygpt.run.records import EndRecord, Record, StartRecord

# A routing record of a deep model takes some kilobytes; a line beyond this is damage, and is not
# held in memory.
LONGEST_LINE = 1 << 20
_MARK = 64  # bytes compared at both ends of what was read, to notice that the file was replaced
_TAIL = 1 << 16
_SLOW_LINES = 10_000  # read at a time where something is damaged


class MetricsReader:
    """New records of the run directory `path` at each call of `read`; never blocks, never holds the
    file open.

    Lines that are not records are skipped and counted in `skipped`, kinds of a newer version in
    `unknown`. A torn last line waits for its newline. If the file shrinks, vanishes or is another
    file than before (compared by the bytes at both ends of what was read, so that a copy brought up
    to date by rsync goes on), reading starts over: `restarted` is then True until the next call,
    and the records of that call are all from the beginning.
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
        """Up to `limit` records (all if None) that were not returned before; [] if there is nothing
        new.

        Memory is bounded by the records returned. Raises RunError if the file is there and cannot
        be read.
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
        """Like `read`, train records as columns: about `size` bytes of them at a time.

        Half a second for a million records, where `read` takes eight. Reading on until [] comes
        has read everything.
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
        """`read_bulk` until nothing new is there."""
        while items := self.read_bulk():
            yield from items

    def behind(self) -> bool:
        """Whether the file goes on where reading stopped."""
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
        """Whole lines; `offset` stands behind each one as it is yielded."""
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
        self.offset = 0  # bytes, always just behind a newline or inside an overlong line
        self.skipped = 0  # lines
        self.unknown = 0  # lines
        self._overlong = False
        self._head = self._tail = b""


def first_record(path: StrPath) -> StartRecord | None:
    """The `start` of the run directory `path`, None if there is none yet or it cannot be read."""
    try:
        with open_regular(Path(path, METRICS)) as file:
            record = parse_record(file.readline(LONGEST_LINE))
    except (OSError, RunError):
        return None
    return record if isinstance(record, StartRecord) else None


def last_end(path: StrPath) -> EndRecord | None:
    """The `end` of the run directory `path` if that is its last whole record, else None."""
    try:
        with open_regular(Path(path, METRICS)) as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            lines = file.read().split(b"\n")[:-1]
        record = parse_record(lines[-1]) if lines else None
    except (OSError, RunError):
        return None
    return record if isinstance(record, EndRecord) else None
