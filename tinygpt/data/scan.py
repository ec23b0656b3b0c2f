"""What there is to know of a text before it is encoded, found in one pass over it.

A pass over gigabytes takes a minute, so what it finds is kept in the cache folder, and found again
while the files have the same sizes and times of change.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from tinygpt.data.documents import Chunk
from tinygpt.files import atomic, safe_open

Report: TypeAlias = Callable[[str, float, float], None]
"""Called now and then during long work: what is done, how much of it, and how much there is."""

_CODE_POINTS = 0x110000
_FORMAT = 1


def silent(_what: str, _done: float, _of: float) -> None:
    """A `Report` that reports nothing."""


class Facts(msgspec.Struct, frozen=True):
    """What a pass over a text finds."""

    sha256: str
    """Of a document's UTF-8 bytes, in hexadecimal. Of several documents: of their bytes, each
    followed by their number as eight bytes, the lowest first."""
    size: int
    """Bytes in UTF-8."""
    characters: int
    documents: int
    alphabet: str
    """The distinct characters, sorted."""
    opening: str
    """The beginning of the text."""


OPENING = 1 << 12
"""Characters of `Facts.opening`."""


class Hasher:
    """The sha256 of documents, chunk by chunk, and their size."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begun = 0
        self._first = ""
        self.size = 0
        self.documents = 0

    def add(self, chunk: Chunk) -> None:
        """Add the next part of a document."""
        raw = chunk.text.encode()
        self._hash.update(raw)
        self.size += len(raw)
        if chunk.ends:
            self.documents += 1
            if self.documents == 1:
                self._first = self._hash.hexdigest()
            self._hash.update((self.size - self._begun).to_bytes(8, "little"))
            self._begun = self.size

    def hexdigest(self) -> str:
        """Of all documents so far."""
        return self._first if self.documents == 1 else self._hash.hexdigest()

    def through(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks, each added on its way."""
        for chunk in chunks:
            self.add(chunk)
            yield chunk


def scan(chunks: Iterable[Chunk], report: Report = silent, size: int = 0) -> Facts:
    """Read a text once; `report` is called with the bytes read so far, of `size` if it is known."""
    hasher, characters, opening = Hasher(), 0, ""
    seen = np.zeros(_CODE_POINTS, np.bool_)
    for chunk in hasher.through(chunks):
        seen[np.frombuffer(chunk.text.encode("utf-32-le"), np.uint32)] = True
        characters += len(chunk.text)
        if len(opening) < OPENING:
            opening += chunk.text[: OPENING - len(opening)]
        report("reading", hasher.size, size)
    alphabet = "".join(map(chr, np.flatnonzero(seen)))
    return Facts(hasher.hexdigest(), hasher.size, characters, hasher.documents, alphabet, opening)


def known_facts(folder: Path, paths: Sequence[str], field: str) -> Facts | None:
    """What an earlier pass over these files found; None if they have changed since."""
    with suppress(OSError, ValueError, msgspec.ValidationError):
        return msgspec.json.decode(safe_open.read_text(_place(folder, paths, field)), type=Facts)
    return None


def keep_facts(folder: Path, paths: Sequence[str], field: str, facts: Facts) -> None:
    """Keep them for `known_facts`; on a disk that is full they are not kept."""
    with suppress(OSError):
        place = _place(folder, paths, field)
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(place, msgspec.json.encode(facts).decode())


def forget_facts(folder: Path, paths: Sequence[str], field: str) -> None:
    """No longer know them: the text has changed."""
    with suppress(OSError):
        _place(folder, paths, field).unlink()


def _place(folder: Path, paths: Sequence[str], field: str) -> Path:
    states = [
        (path, found.st_size, found.st_mtime_ns) for path in paths for found in [os.stat(path)]
    ]
    key = json.dumps([_FORMAT, states, field])
    return (
        folder / "texts" / f"{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:32]}.json"
    )
