"""Reads metrics.jsonl from its end: the newest numbers of a run, whatever its length."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from tinygpt.errors import TinyGPTError
from tinygpt.files.safe_open import open_regular
from tinygpt.run.layout import METRICS
from tinygpt.run.lines import parse_record
from tinygpt.run.records import Record, TrainRecord

_BLOCK = 1 << 16
_MAX_BYTES = 1 << 22
"""Bytes from the end that are read at most: about twenty thousand steps."""
_HEAD = 64
"""Bytes at the start of a line that include its kind."""


def lines_backwards(file: Path, size: int) -> Iterator[bytes]:
    """The complete lines of the first `size` bytes of a file, last one first, as far back as
    `_MAX_BYTES`. Raises OSError."""
    rest, position, torn = b"", size, True
    with open_regular(file) as opened:
        while position > max(0, size - _MAX_BYTES):
            begin = max(0, position - _BLOCK)
            opened.seek(begin)
            block = opened.read(position - begin) + rest
            rest, *lines = block.split(b"\n")
            if lines and torn:
                lines.pop()  # after the last newline: empty or incomplete
                torn = False
            yield from reversed(lines)
            position = begin
        if position == 0 and not torn:
            yield rest


def has_kind(line: bytes, *kinds: str) -> bool:
    """Whether a line may be a record of one of these kinds, without parsing it."""
    head = line[:_HEAD]
    return any(f'"{kind}"'.encode() in head for kind in kinds)


def parsed(line: bytes) -> Record | None:
    """The record in a line; None if there is none, or one of a later version."""
    try:
        return parse_record(line)
    except TinyGPTError:
        return None


def recent_losses(run: Path, steps: Mapping[str, int], count: int) -> dict[str, list[float]]:
    """The latest `count` batch losses of each variant up to the step in `steps`, the oldest first.

    Steps that a resume took back are left out. No more than can be read, which may be none.
    """
    losses: dict[str, deque[float]] = {variant: deque() for variant in steps}
    before = {variant: step + 1 for variant, step in steps.items()}
    try:
        size = (run / METRICS).stat().st_size
        for line in lines_backwards(run / METRICS, size):
            if all(len(found) == count for found in losses.values()):
                break
            record = parsed(line) if has_kind(line, "train") else None
            if not isinstance(record, TrainRecord) or record.step >= before.get(record.model, 0):
                continue
            before[record.model] = record.step
            if len(losses[record.model]) < count:
                losses[record.model].appendleft(record.loss)
    except OSError:
        pass
    return {variant: list(found) for variant, found in losses.items()}
