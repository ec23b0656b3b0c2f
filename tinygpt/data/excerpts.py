"""Pieces of a corpus that are read without the rest of it: a gigabyte takes many seconds to load.

A file of plain text is opened at the place that is needed; what is before the place in compressed
text, in JSONL and in datasets is read through. tinyshakespeare and its substitute, of a megabyte,
are loaded as a whole, since only then it is known which of them is available.
"""

from __future__ import annotations

import codecs
import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tinygpt.config import Shares
from tinygpt.data.corpus import KNOWN, Corpus, find_corpus
from tinygpt.data.documents import FIELD, is_plain, open_file
from tinygpt.data.sources import HUB, source_files
from tinygpt.data.splits import WITHOUT_TEST, split_chunks, split_sizes
from tinygpt.data.token_files import is_token_file
from tinygpt.data.tokenizer_file import load_tokenizer
from tinygpt.errors import CorpusError
from tinygpt.files.paths import user_path

BLOCK = 64 * 1024
"""Bytes in which a random line begins."""
LONGEST_LINE = 1000
"""Characters of a line; the rest of it is left out."""
OPENING = 32
"""Characters of the opening of the validation split, at most."""
LONG_LINE = 24
"""Characters that make a line long enough to be looked at."""
LARGE, SAMPLE = 64 << 20, 4 << 20
"""Of a file of more than `LARGE` bytes, a sample of validation is its first `SAMPLE` bytes."""
_UTF8 = 4
"""Bytes of the longest character."""
_TRIES = 16


class TextSource(NamedTuple):
    """Where the text of a run is, and how it is read."""

    data: str
    """As ``--data`` takes it."""
    shares: Shares = WITHOUT_TEST
    """How much of it is for validation and for a test: where these are follows from it."""
    field: str = FIELD
    """The key of the text in JSONL."""
    tokenizer: str = ""
    """The file of the tokenizer, with which token ids are read."""


class _Block(NamedTuple):
    """A part of a corpus."""

    start: int
    """The byte at which it begins."""
    text: bytes
    """Whole characters of UTF-8: from the last byte before `start` to after its end."""
    offset: int
    """The byte at which `text` begins."""


def random_line(source: TextSource, rng: random.Random) -> str:
    """A line with text of a corpus.

    All lines that begin in the same block of `BLOCK` bytes are equally likely, and blocks are as
    likely as they are long; of compressed text, only blocks of the first `SAMPLE` characters. Of a
    text without line ends, the answer is a part.

    Raises:
        CorpusError: the corpus is not available, is no UTF-8 text, or seems to be blank.
    """
    part = ""
    for _ in range(_TRIES):
        block = _random_block(source, rng)
        if lines := [line for line in _lines(block) if line.strip()]:
            return rng.choice(lines)
        part = part or _part(block).strip()
    if part:
        return part
    raise CorpusError(f"--data {source.data} has no line with text: name a text file to train on")


def validation_opening(source: TextSource) -> str:
    """The first words of the first line with text that begins in the validation split.

    In a file, the split is taken to begin where the shares of validation and test say, in bytes.

    Raises:
        CorpusError: as for `random_line`.
    """
    block = _validation(source, BLOCK)
    lines = [*_lines(block), _part(block)]
    line = next((line.strip() for line in lines if line.strip()), "")
    if len(line) <= OPENING:
        return line
    words, _, _ = line[: OPENING + 1].rpartition(" ")
    return words.rstrip() or line[:OPENING]


def validation_line(source: TextSource) -> str:
    """The first line of `LONG_LINE` characters or more that begins in the validation split; without
    one, the longest line there, or if no line begins there, the beginning of the split.

    The split is taken to begin as for `validation_opening`; its first `BLOCK` bytes are searched.

    Raises:
        CorpusError: as for `random_line`.
    """
    block = _validation(source, BLOCK)
    lines = [line.strip() for line in _lines(block)]
    long = next((line for line in lines if len(line) >= LONG_LINE), "")
    return long or max(lines, key=len, default="") or _part(block).strip()


def validation_sample(source: TextSource) -> tuple[str, str]:
    """The name of a corpus and its validation split, or if the text is large the first part of it.

    Raises:
        CorpusError: as for `random_line`.
    """
    if (path := _single_file(source.data)) is not None:
        with open_file(path) as file:
            large = _size(file) > LARGE
        if large:
            block = _validation(source, SAMPLE)
            return Path(path).name, _decoded(block.text, source.data)
    name, text = _validation_text(source, LARGE)
    return name, text[:SAMPLE] if len(text) == LARGE else text


def _single_file(data: str) -> str | None:
    """The one file of plain text that a corpus consists of; None if it is another kind."""
    if data in ("auto", *KNOWN) or data.startswith(HUB) or is_token_file(data):
        return None
    files = source_files(data)
    return files[0] if len(files) == 1 and is_plain(files[0]) else None


def _validation(source: TextSource, size: int) -> _Block:
    """`size` bytes from the beginning of the validation split, and what is left of a line."""
    data = source.data
    if data in ("auto", *KNOWN) or _single_file(data) is not None:
        return _read(data, _validation_start(source.shares), size)
    _, text = _validation_text(source, size + LONGEST_LINE)
    return _as_block(text)


def _validation_text(source: TextSource, size: int) -> tuple[str, str]:
    """The name of a corpus, and the first `size` characters of its validation split."""
    corpus, text = _corpus(source), ""
    for part in split_chunks(corpus.chunks(), corpus.characters, source.shares):
        if part.split == 1:
            text += part.chunk.text
        if len(text) >= size or part.split > 1:
            break
    return corpus.name, text[:size]


def _corpus(source: TextSource) -> Corpus:
    ids = is_token_file(source.data) and source.tokenizer
    tokenizer = load_tokenizer(source.tokenizer) if ids else None
    return find_corpus(source.data, source.field, tokenizer)


def _random_block(source: TextSource, rng: random.Random) -> _Block:
    data = source.data
    if data in ("auto", *KNOWN) or _single_file(data) is not None:
        return _read(data, lambda size: rng.randrange(size) // BLOCK * BLOCK, BLOCK)
    if not (data.startswith(HUB) or is_token_file(data)):
        files = source_files(data)
        data = rng.choices(files, [1 + os.path.getsize(user_path(path)) for path in files])[0]
        if is_plain(data) and os.path.getsize(user_path(data)):
            return _random_block(source._replace(data=data), rng)
    text = ""
    for chunk in _corpus(source._replace(data=data)).chunks():
        text += chunk.text + ("\n" if chunk.ends else "")
        if len(text) >= SAMPLE:
            break
    start = rng.randrange(len(text)) // BLOCK * BLOCK
    return _as_block(text[start : start + BLOCK + LONGEST_LINE])


def _as_block(text: str) -> _Block:
    """A text whose first line may have begun before it."""
    return _Block(1, text.encode(), 1)


def _validation_start(shares: Shares) -> Callable[[int], int]:
    """From the bytes of a file to those before its validation split."""
    return lambda size: split_sizes(size, shares)[0]


def _lines(block: _Block) -> list[str]:
    """The lines that begin in the first `BLOCK` bytes: up to `LONGEST_LINE` characters of each."""
    lines, place = [], block.offset
    for line in block.text.splitlines(keepends=True):
        begins_here = place > block.offset or not place
        if begins_here and block.start <= place < block.start + BLOCK:
            lines.append(line)
        place += len(line)
    return [line.decode().rstrip("\r\n")[:LONGEST_LINE] for line in lines]


def _part(block: _Block) -> str:
    """The beginning of the block, wherever its lines begin."""
    inside, _ = _whole_characters(block.text[max(block.start - block.offset, 0) :])
    return inside.decode()[:LONGEST_LINE]


def _read(data: str, place: Callable[[int], int], size: int) -> _Block:
    """`size` bytes from `place(size of the corpus)`, with the byte before them, and after them as
    much as the longest line takes."""
    with _opened(data) as file:
        total = _size(file)
        if not total:
            raise CorpusError(f"--data {data} is empty: name a text file to train on")
        start = place(total)
        offset = file.seek(max(start - 1, 0))
        raw = file.read(size + 1 + LONGEST_LINE * _UTF8)
    text, left_out = _whole_characters(raw)
    _decoded(text, data)
    return _Block(start, text, offset + left_out)


@contextmanager
def _opened(data: str) -> Iterator[BinaryIO]:
    if data in ("auto", *KNOWN):
        yield io.BytesIO(find_corpus(data).text.encode())
    else:
        with open_file(source_files(data)[0]) as file:
            yield file


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _whole_characters(raw: bytes) -> tuple[bytes, int]:
    """The bytes without a part of a character at either end, and how many the first part has."""
    first = next((i for i, byte in enumerate(raw[:_UTF8]) if byte & 0xC0 != 0x80), 0)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(raw)
    unfinished = len(decoder.getstate()[0])
    return raw[first : len(raw) - unfinished], first


def _decoded(text: bytes, data: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise CorpusError(f"--data {data} is not UTF-8 text: save it as UTF-8") from error
