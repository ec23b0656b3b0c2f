"""The documents in a file: one of plain text, also compressed, or one per line of JSONL.

Files are read in blocks, so that a large one takes little memory. Text is never changed: newlines
and a byte-order mark (U+FEFF) stay as they are.
"""

from __future__ import annotations

import codecs
import shlex
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec

from tinygpt.errors import CorpusError
from tinygpt.fields import closest
from tinygpt.files.encoding import wide_encoding
from tinygpt.files.paths import user_path
from tinygpt.files.safe_open import open_regular

FIELD = "text"
"""The key of the text in a line of JSONL, unless ``--data-field`` names another."""
LINES = (".jsonl", ".ndjson")
COMPRESSED = (".gz", ".zst")
BLOCK = 1 << 20
"""Bytes that are read at a time."""
COMPRESSED_BLOCK = 1 << 12
"""Bytes that are decompressed at a time: they become 130 MB at most."""
LONGEST_LINE = 256 << 20
"""Bytes of a line of JSONL."""
KNOWN = ("tinyshakespeare", "shakespeare-standin")
"""Corpora that ``--data`` takes by name, besides ``auto``."""


class Chunk(NamedTuple):
    """A part of a document."""

    text: str
    ends: bool
    """Whether the document ends after it."""


def read_documents(path: str, field: str = FIELD) -> Iterator[Chunk]:
    """The documents in the file `path`: what ends in .jsonl or .ndjson has one per line, at the key
    `field`; of .gz and .zst, what is in them. Empty documents are left out.

    Raises:
        CorpusError: the file cannot be read, or is damaged, or is not UTF-8 text, or has a line
            without the key; the message names ``--data`` or ``--data-field``.
    """
    with open_file(path) as file:
        blocks = _decompressed(path, file)
        if _plain_name(path).endswith(LINES):
            yield from _from_lines(path, blocks, field)
        else:
            yield from _from_text(path, blocks)


def is_plain(path: str) -> bool:
    """Whether the file is one document as it is, so that any part of it can be read alone."""
    return not path.lower().endswith((*LINES, *COMPRESSED))


@contextmanager
def open_file(name: str) -> Iterator[BinaryIO]:
    """A file to train on, open in binary.

    Raises:
        CorpusError: it cannot be opened or read; says why and names ``--data``.
    """
    try:
        with open_regular(user_path(name)) as file:
            yield file
    except FileNotFoundError as error:
        raise missing(name) from error
    except IsADirectoryError as error:
        msg = f"--data {name} is a folder: name a text file in it"
        raise CorpusError(msg) from error
    except PermissionError as error:
        msg = f"--data {name} cannot be read (permission denied): change that, or name another file"
        raise CorpusError(msg) from error
    except CorpusError:
        raise
    except (OSError, ValueError) as error:  # a device, NUL in a name
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        msg = f"--data {name} cannot be read ({why}): name a UTF-8 text file"
        raise CorpusError(msg) from error


def missing(name: str) -> CorpusError:
    """The error for what is not there."""
    near = closest(name, ("auto", *KNOWN))
    hint = f"did you mean {near}?" if near else f"name a text file, {' or '.join(KNOWN)}"
    return CorpusError(f"--data {name} does not exist: {hint}")


def _plain_name(path: str) -> str:
    name = path.lower()
    return next((name.removesuffix(end) for end in COMPRESSED if name.endswith(end)), name)


def _from_text(path: str, blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """The one document of a text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    begun, before, last = False, 0, ""
    for block in blocks:
        if not begun and (encoding := wide_encoding(block)):
            convert = f"iconv -f {encoding} -t UTF-8 {shlex.quote(path)} > utf-8.txt"
            msg = f"--data {path} is {encoding} text: convert it to UTF-8 with {convert}"
            raise CorpusError(msg)
        begun = True
        if (nul := block.find(0)) >= 0:
            msg = f"--data {path} is a binary file (NUL at byte {before + nul:,})"
            raise CorpusError(f"{msg}: name a UTF-8 text file")
        if last:
            yield Chunk(last, ends=False)
        last = _decoded(path, decoder, block, before)
        before += len(block)
    last += _decoded(path, decoder, b"", before)
    if last:
        yield Chunk(last, ends=True)


def _decoded(path: str, decoder: codecs.IncrementalDecoder, block: bytes, before: int) -> str:
    """The next characters; an empty block is the end."""
    at = before - len(decoder.getstate()[0])
    try:
        return decoder.decode(block, not block)
    except UnicodeDecodeError as error:
        at += error.start
        if not block:
            msg = (
                f"--data {path} ends inside a character, at byte {at:,}: it was cut off; restore "
                "it, or remove its last bytes"
            )
        else:
            byte = error.object[error.start]
            msg = (
                f"--data {path} is not UTF-8 text (invalid byte 0x{byte:02x} at byte {at:,}): "
                "save it as UTF-8"
            )
        raise CorpusError(msg) from error


def _from_lines(path: str, blocks: Iterable[bytes], field: str) -> Iterator[Chunk]:
    """The documents of JSONL."""
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(_lines(path, blocks), 1):
        if not line.strip():
            continue
        try:
            entry = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorpusError(f"--data {path}: line {number:,} is not JSON ({error})") from error
        if text := field_of(entry, field, f"--data {path}: line {number:,}"):
            yield Chunk(text, ends=True)


def field_of(entry: Any, field: str, where: str) -> str:
    """The text at the key `field`. Raises CorpusError, which begins with `where`."""
    text = entry.get(field) if isinstance(entry, dict) else None
    if isinstance(text, str):
        return text
    texts = (
        [name for name in entry if isinstance(entry[name], str)] if isinstance(entry, dict) else []
    )
    hint = f" (it has {', '.join(texts[:9])})" if texts else ""
    raise CorpusError(f"{where} has no text at the key {field!r}: name it with --data-field{hint}")


def _lines(path: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        rest.append(first)
        size += len(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest, size = [others[-1]], len(others[-1])
        if size > LONGEST_LINE:
            raise CorpusError(f"--data {path} has a line of more than {LONGEST_LINE >> 20} MiB")
    yield b"".join(rest)


def _decompressed(path: str, file: BinaryIO) -> Iterator[bytes]:
    """The content of a file, in blocks."""
    if not path.lower().endswith(COMPRESSED):
        while block := file.read(BLOCK):
            yield block
        return
    kind = "gzip" if path.lower().endswith(".gz") else "zstandard"
    stream, before = _stream(kind), b""
    try:
        while block := before or file.read(COMPRESSED_BLOCK):
            if stream.eof:
                stream = _stream(kind)
            if found := stream.decompress(block):
                yield found
            before = stream.unused_data if stream.eof else b""
    except (zlib.error, _zstandard().ZstdError) as error:
        raise CorpusError(f"--data {path} is a damaged {kind} file ({error})") from error
    if not stream.eof:
        raise CorpusError(f"--data {path} is a {kind} file that is empty or cut off: restore it")


class _Stream(Protocol):
    """One of the streams that a compressed file consists of."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _stream(kind: str) -> _Stream:
    if kind == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    found: _Stream = _zstandard().ZstdDecompressor().decompressobj()
    return found


def _zstandard() -> Any:
    import zstandard  # noqa: PLC0415 - 20 ms to import

    return zstandard
