"""The tokens of large texts, kept in files: encoded once, found again by every later run.

In the cache folder, ``tokens/<key>/`` holds ``train.bin``, ``val.bin`` and ``test.bin``, flat
arrays of little-endian ids of two or four bytes, and ``header.json``. The key is a hash of the
text, the tokenizer and the shares of the splits. The folder has another name until it is complete;
what an encoding has written when it is interrupted stays there, and the next one goes on after it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from tinygpt.config import Shares
from tinygpt.data.corpus import Corpus, cache_folder
from tinygpt.data.documents import Chunk
from tinygpt.data.encoding import Batch, Encoded, batches, corpus_parts
from tinygpt.data.scan import Hasher, Report, forget_facts
from tinygpt.data.splits import Part
from tinygpt.data.token_files import HEADER, SPLITS, map_ids
from tinygpt.data.tokenizer import Ids, Tokenizer
from tinygpt.data.vocabulary import has_documents
from tinygpt.errors import CorpusError
from tinygpt.files import atomic, safe_open
from tinygpt.files.folder_lock import sole_holder

FILES = (*SPLITS, "test.bin")
JOURNAL = "journal.json"
SAVED_EVERY = 5.0
"""Seconds of encoding that a killed process loses at most."""
POLLED_EVERY = 0.2
"""Seconds between two looks at a text that another process encodes."""
_FORMAT = 1
_BLOCK = 1 << 22
"""Ids that are checked at a time."""
_SPARE = 1.05
"""The disk that is asked for, as a multiple of what the first tokens make expected."""


class _State(msgspec.Struct, frozen=True):
    """A moment of the encoding."""

    batches: int = 0
    characters: int = 0
    tokens: tuple[int, int, int] = (0, 0, 0)
    """Written so far, by split."""


class _Header(msgspec.Struct, frozen=True):
    """What the files hold."""

    width: int
    """Bytes of an id."""
    tokens: tuple[int, int, int]
    text: str
    """Its sha256."""
    tokenizer: str
    """The sha256 of its tokenizer.json."""
    times: tuple[int, int, int]
    """When the files were last changed: they are trusted while this is so, else their ids are
    checked."""


def find_or_encode(
    tokenizer: Tokenizer, corpora: Sequence[Corpus], shares: Shares, report: Report
) -> Encoded:
    """The tokens of a text, from the cache or newly encoded into it; as `tinygpt.data.encode`."""
    folder = cache_folder() / "tokens"
    final = folder / _key(tokenizer, corpora, shares)
    if (found := _open(final, tokenizer)) is not None:
        return found
    unfinished = folder / f"{final.name}.part"
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        while True:
            with sole_holder(unfinished) as alone:
                if alone:
                    _Encoding(unfinished, tokenizer, corpora, shares, report).finish(final)
                    break
            report("waiting for another run that encodes", 0, 0)
            time.sleep(POLLED_EVERY)
            unfinished.mkdir(exist_ok=True)
            if (found := _open(final, tokenizer)) is not None:
                return found
    except OSError as error:
        raise _unwritable(error, folder) from error
    found = _open(final, tokenizer)
    assert found is not None, "what was just written"
    return found


def _key(tokenizer: Tokenizer, corpora: Sequence[Corpus], shares: Shares) -> str:
    texts = [corpus.sha256 for corpus in corpora]
    key = json.dumps([_FORMAT, texts, has_documents(corpora), shares, _sha256(tokenizer)])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _sha256(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.to_json().encode()).hexdigest()


def _unwritable(error: OSError, folder: Path) -> CorpusError:
    why = error.strerror or "it cannot be written"
    return CorpusError(
        f"the tokens of the corpus cannot be kept in {folder} ({why}): free some of its disk, or "
        "set TINYGPT_CACHE to a folder on another"
    )


class _Encoding:
    """The encoding of a text into a folder, which another may have begun."""

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        corpora: Sequence[Corpus],
        shares: Shares,
        report: Report,
    ) -> None:
        self._folder, self._tokenizer, self._report = folder, tokenizer, report
        self._corpora, self._shares = corpora, shares
        self._width = 2 if tokenizer.vocab_size <= 1 << 16 else 4
        self._state = self._begun()
        self._characters = sum(corpus.characters for corpus in corpora)

    def _begun(self) -> _State:
        with suppress(OSError, ValueError, msgspec.ValidationError):
            state = msgspec.json.decode(safe_open.read_text(self._folder / JOURNAL), type=_State)
            sizes = [(self._folder / name).stat().st_size for name in FILES]
            if all(
                size >= n * self._width >= 0 for size, n in zip(sizes, state.tokens, strict=True)
            ):
                return state
        return _State()

    def finish(self, final: Path) -> None:
        """Encode what is left; then the folder becomes `final`.

        Raises:
            OSError: it cannot be written.
            CorpusError: the text has changed, or the disk is too small.
        """
        hashers = [Hasher() for _ in self._corpora]
        hashed = [
            replace(corpus, chunks=partial(_hashed, corpus, hasher))
            for corpus, hasher in zip(self._corpora, hashers, strict=True)
        ]
        with ExitStack() as stack:
            files = [stack.enter_context(self._file(split)) for split in range(len(FILES))]
            self._write(files, corpus_parts(hashed, self._shares))
            for file in files:
                file.flush()
                atomic.sync_to_disk(file.fileno())
        for corpus, hasher in zip(self._corpora, hashers, strict=True):
            if hasher.hexdigest() != corpus.sha256:
                self._refuse_changed(corpus)
        train, validation, test = (os.stat(self._folder / name).st_mtime_ns for name in FILES)
        header = _Header(
            self._width,
            self._state.tokens,
            self._corpora[0].sha256,
            _sha256(self._tokenizer),
            (train, validation, test),
        )
        atomic.write_text(self._folder / HEADER, msgspec.json.encode(header).decode())
        (self._folder / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(final, ignore_errors=True)  # damaged, or it would have been opened
        os.rename(self._folder, final)

    def _refuse_changed(self, corpus: Corpus) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if corpus.remembered is not None:
            forget_facts(cache_folder(), *corpus.remembered)
        raise CorpusError(f"{corpus.name} has changed while it was read: start again")

    @contextmanager
    def _file(self, split: int) -> Iterator[BinaryIO]:
        """The file of a split, after what was written before."""
        path = self._folder / FILES[split]
        descriptor = safe_open.open_to_write(path, os.O_RDWR | os.O_CREAT)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(self._state.tokens[split] * self._width)
            file.seek(0, os.SEEK_END)
            yield file

    def _write(self, files: Sequence[BinaryIO], parts: Iterator[Part]) -> None:
        several, begun = has_documents(self._corpora), self._state.batches
        saved = time.monotonic()
        try:
            for batch in batches(self._tokenizer, parts, ends=several, skip=begun):
                self._add(files, batch)
                if self._state.batches == begun + 1:
                    self._check_disk()
                self._report("encoding", self._state.characters, self._characters)
                if time.monotonic() - saved > SAVED_EVERY:
                    self._save(files)
                    saved = time.monotonic()
        except (KeyboardInterrupt, SystemExit):
            self._save(files)
            raise

    def _add(self, files: Sequence[BinaryIO], batch: Batch) -> None:
        tokens = [*self._state.tokens]
        for split, ids in batch.ids:
            files[split].write(ids.astype(f"<u{self._width}").tobytes())
            tokens[split] += len(ids)
        train, validation, test = tokens
        self._state = _State(
            self._state.batches + 1,
            self._state.characters + batch.characters,
            (train, validation, test),
        )

    def _save(self, files: Sequence[BinaryIO]) -> None:
        for file in files:
            file.flush()
            atomic.sync_to_disk(file.fileno())
        atomic.write_text(self._folder / JOURNAL, msgspec.json.encode(self._state).decode())

    def _check_disk(self) -> None:
        """Raises CorpusError if the tokens that are left will not fit, by those so far."""
        left = self._characters / self._state.characters - 1
        needed = int(left * sum(self._state.tokens) * self._width * _SPARE)
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            folder = self._folder.parent
            raise CorpusError(
                f"the tokens of the corpus take about {needed / 1e9:,.1f} GB more in {folder}, "
                f"which has {free / 1e9:,.1f} GB: free some, or set TINYGPT_CACHE to a folder on "
                "another disk"
            )


def _hashed(corpus: Corpus, hasher: Hasher) -> Iterator[Chunk]:
    return hasher.through(corpus.chunks())


def _open(folder: Path, tokenizer: Tokenizer) -> Encoded | None:
    """The tokens in a folder; None if it is not there or is damaged."""
    try:
        header = msgspec.json.decode(safe_open.read_text(folder / HEADER), type=_Header)
        if header.width not in (2, 4):
            return None
        mapped = []
        for name, tokens, changed in zip(FILES, header.tokens, header.times, strict=True):
            with safe_open.open_regular(folder / name) as file:
                state = os.fstat(file.fileno())
                if state.st_size != tokens * header.width:
                    return None
                ids = map_ids(file, header.width)
            if state.st_mtime_ns != changed and not _are_known(ids[0], tokenizer.vocab_size):
                return None
            mapped.append(ids)
    except (OSError, ValueError, msgspec.ValidationError):
        return None
    (train, drop_train), (validation, drop_validation), (test, drop_test) = mapped

    def release() -> None:
        drop_train()
        drop_validation()
        drop_test()

    return Encoded(tokenizer, train, validation, test, release)


def _are_known(ids: Ids, vocab_size: int) -> bool:
    """Whether all ids are of the vocabulary."""
    blocks = (ids[start : start + _BLOCK] for start in range(0, len(ids), _BLOCK))
    return all(block.min() >= 0 and block.max() < vocab_size for block in blocks)
