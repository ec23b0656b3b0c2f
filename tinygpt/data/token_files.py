"""Corpora that are token ids already: the train.bin and val.bin of nanoGPT, and of the token cache.

A file is a flat array of little-endian ids of two bytes, or as its header.json says, of four. The
tokenizer that made it has to be named: nanoGPT's meta.pkl is a pickle, which is never read.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np

from tinygpt.data.documents import Chunk, open_file
from tinygpt.data.scan import OPENING, Facts, Report
from tinygpt.data.tokenizer import Ids, StreamDecoder, Tokenizer, text_lengths
from tinygpt.errors import CorpusError
from tinygpt.files import safe_open
from tinygpt.files.paths import user_path

ENDING = ".bin"
SPLITS = ("train.bin", "val.bin")
HEADER = "header.json"
BLOCK = 1 << 20
"""Ids that are looked at, or made text, at a time."""


class Width(msgspec.Struct, frozen=True):
    """What a header.json says of the files beside it."""

    width: int
    """Bytes of an id."""


class TokenFile(NamedTuple):
    """A file of token ids."""

    path: str
    ids: Ids
    """(N,), read when they are used."""
    release: Callable[[], None]
    """Gives back the memory that reading them has taken."""


def token_folder(data: str) -> tuple[str, str] | None:
    """The files of a folder that has the ids of both splits; None if `data` is no such folder."""
    folder = user_path(data)
    train, validation = (str(folder / name) for name in SPLITS)
    return (train, validation) if os.path.isfile(train) and os.path.isfile(validation) else None


def is_token_file(data: str) -> bool:
    """Whether `data` names a file of token ids."""
    return data.endswith(ENDING)


def open_tokens(path: str, vocab_size: int) -> TokenFile:
    """A file of token ids, all of which are below `vocab_size`.

    Raises:
        CorpusError: it cannot be read, is empty or no such file, or has another id.
    """
    with open_file(path) as file:
        width, size = _width(path), os.fstat(file.fileno()).st_size
        if size % width or not size:
            why = "is empty" if not size else f"is no array of ids of {width} bytes each"
            raise CorpusError(f"--data {path} {why}: name a file such as nanoGPT's train.bin")
        found = TokenFile(path, *map_ids(file, width))
    for block in _blocks(found.ids):
        if not (block.min() >= 0 and block.max() < vocab_size):
            raise CorpusError(
                f"--data {path} has the id {int(block.max()):,}, but the tokenizer has only "
                f"{vocab_size:,} tokens: name the one that it was made with, with --tokenizer"
            )
    found.release()
    return found


def map_ids(file: BinaryIO, width: int) -> tuple[Ids, Callable[[], None]]:
    """The ids (N,) in a file of little-endian numbers of `width` bytes, read only when they are
    used, and a function that gives back the memory that this has taken."""
    if not os.fstat(file.fileno()).st_size:
        return np.empty(0, np.uint16), lambda: None
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    ids: Ids = np.frombuffer(memory, "<u2" if width == 2 else "<i4")
    return ids, partial(memory.madvise, mmap.MADV_DONTNEED)


def texts(tokens: TokenFile, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """The text of all ids, as one document."""
    decoder, last = StreamDecoder(tokenizer), ""
    for block in _blocks(tokens.ids):
        if last:
            yield Chunk(last, ends=False)
        last = "".join(map(decoder.push, block.tolist()))
    yield Chunk(last, ends=True)


def facts_of(tokens: TokenFile, tokenizer: Tokenizer, report: Report) -> Facts:
    """The facts of their text; the sha256 is of the file."""
    sha256, done = hashlib.sha256(), 0
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for block in _blocks(tokens.ids):
        sha256.update(block.tobytes())
        counts += np.bincount(block, minlength=len(counts))
        done += block.nbytes
        report("reading", done, tokens.ids.nbytes)
    bytes_of, characters_of = text_lengths(tokenizer)
    opening = next(texts(tokens, tokenizer)).text[:OPENING]
    size, characters = int(counts @ bytes_of), int(counts @ characters_of)
    return Facts(sha256.hexdigest(), size, characters, 1, "", opening)


def _blocks(ids: Ids) -> Iterator[Ids]:
    return (ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK))


def _width(path: str) -> int:
    header = Path(user_path(path)).with_name(HEADER)
    try:
        found = msgspec.json.decode(safe_open.read_text(header), type=Width).width
    except (OSError, ValueError, msgspec.ValidationError):
        return 2
    return 4 if found == 4 else 2
