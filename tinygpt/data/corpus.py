"""Finds a corpus: the exact tinyshakespeare, its offline substitute, or any UTF-8 text.

By default, the first of these that is available: tinyshakespeare from the user's cache, from an
identical file in the current folder, or from a download whose sha256 is checked; else the
substitute of `tinygpt.data.shakespeare`, under its own name and with the reason.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from tinygpt.data import shakespeare
from tinygpt.data.documents import FIELD, KNOWN, Chunk, is_plain, read_documents
from tinygpt.data.download import Download
from tinygpt.data.scan import Facts, Report, keep_facts, known_facts, scan, silent
from tinygpt.data.sources import HUB, absolute, names, source_files
from tinygpt.data.token_files import TokenFile, facts_of, is_token_file, open_tokens, texts
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.errors import CorpusError
from tinygpt.files.paths import user_path
from tinygpt.files.safe_open import open_regular

__all__ = ["KNOWN", "Corpus", "find_corpus", "read_text"]

TINYSHAKESPEARE = "tinyshakespeare"
TINYSHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SMALL = 8 << 20
"""Bytes of a text that is held in memory; a larger one is read whenever it is needed."""
FALLBACK_WARNING = "an offline substitute: losses do not compare"
"""What there is to know of the substitute, in a few words."""
_REQUESTED = "as requested"
"""In `Corpus.source`: the substitute was asked for by its name."""

_FILE = "tinyshakespeare.txt"
_OPEN_FILE = re.compile(r"/dev/fd/\d+|/proc/.+/fd/\d+")
_MOST_LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class Corpus:
    """A text to train on, or several documents, and where they are from."""

    name: str
    """tinyshakespeare, shakespeare-standin, or the name of the file."""
    facts: Facts
    chunks: Callable[[], Iterable[Chunk]]
    """Reads the text, from its beginning. Raises CorpusError if it cannot be read any more."""
    source: str
    """One line: which corpus this is, and why it was chosen."""
    path: str | None = None
    """As ``--data`` takes it from any folder; None if it was not read from a file."""
    remembered: tuple[tuple[str, ...], str] | None = None
    """The files and the key of the text by which the facts of a large corpus are remembered."""
    tokens: TokenFile | None = None
    """What the text is made of, if it was given as token ids."""

    @property
    def sha256(self) -> str:
        """See `Facts.sha256`."""
        return self.facts.sha256

    @property
    def characters(self) -> int:
        """Characters of all documents."""
        return self.facts.characters

    @property
    def text(self) -> str:
        """The characters of all documents, with the newlines of the files: all in memory."""
        return "".join(chunk.text for chunk in self.chunks())

    @classmethod
    def of(cls, name: str, text: str, source: str, path: str | None = None) -> Self:
        """The corpus of one document that is in memory."""
        chunks = (Chunk(text, ends=True),)
        return cls(name, scan(chunks), lambda: chunks, source, path)


def find_corpus(
    data: str = "auto",
    field: str = FIELD,
    tokenizer: Tokenizer | None = None,
    *,
    report: Report = silent,
    progress: object | bool = False,
    timeout: float = 5.0,
    cache: Path | None = None,
    url: str = TINYSHAKESPEARE_URL,
) -> Corpus:
    """The corpus named by `data`.

    Args:
        data: ``auto`` (tinyshakespeare, else the substitute), ``tinyshakespeare``,
            ``shakespeare-standin``, or files, see `tinygpt.data.sources` (``./auto`` for a file of
            that name).
        field: the key of the text in a line of JSONL, or the column of a dataset.
        tokenizer: what made a file of token ids.
        report: called while a large text is read for the first time.
        progress: pooch's progress object (``total``, ``update``, ``reset``, ``close``), called
            from another thread; a bool shows no progress, as the core does not print.
        timeout: seconds without data, DNS included, after which a download is abandoned.
        cache: folder for the download; by default $TINYGPT_CACHE, else the user's cache folder.
        url: of tinyshakespeare.

    Raises:
        CorpusError: the corpus is not available or cannot be read; says what was tried.
    """
    if data == shakespeare.NAME:
        return _substitute(_REQUESTED)
    if data not in ("auto", TINYSHAKESPEARE):
        return read_text(data, field, tokenizer, report)
    try:
        return _tinyshakespeare(
            Download(url, TINYSHAKESPEARE_SHA256, progress, timeout), cache or cache_folder()
        )
    except CorpusError as error:
        if data == TINYSHAKESPEARE:
            msg = f"--data {TINYSHAKESPEARE} is not available ({error}): {_remedy()}"
            raise CorpusError(msg) from error
        return _fall_back(str(error))


def is_fallback(recorded: Mapping[str, Any]) -> bool:
    """Whether the corpus of a run, as its first record describes it, is the substitute, which took
    the place of tinyshakespeare without having been asked for."""
    return recorded.get(
        "name"
    ) == shakespeare.NAME and f"{shakespeare.NAME}: {_REQUESTED}" not in str(
        recorded.get("source", "")
    )


def read_text(
    data: str | Path,
    field: str = FIELD,
    tokenizer: Tokenizer | None = None,
    report: Report = silent,
) -> Corpus:
    """The corpus in the files that `data` names, see `tinygpt.data.sources`, unchanged.

    Args:
        data: as ``--data`` takes it, but no known corpus.
        field: the key of the text in a line of JSONL.
        tokenizer: what made a file of token ids.
        report: called while a large text is read for the first time.

    Raises:
        CorpusError: a file is missing, unreadable, empty, binary (contains a NUL), a stream or not
            UTF-8; for UTF-16 the message says how to convert it.
    """
    data = str(data)
    if data.startswith(HUB):
        from tinygpt.data import hub  # noqa: PLC0415 - it is optional

        rows, files = hub.open_dataset(data, field)
        return _corpus(data, rows, files, field, report)
    if is_token_file(data):
        return _token_corpus(data, tokenizer, report)
    for name in names(data):
        if name == "-" or _is_open_file(name):
            msg = (
                f"--data {name} is a stream, which a resume could not read again: "
                "save the text to a file, and name that"
            )
            raise CorpusError(msg)
    files = source_files(data)

    def chunks() -> Iterator[Chunk]:
        return (chunk for path in files for chunk in read_documents(path, field))

    return _corpus(data, chunks, files, field, report)


def _corpus(
    data: str,
    chunks: Callable[[], Iterable[Chunk]],
    files: Sequence[str],
    field: str,
    report: Report,
) -> Corpus:
    """The corpus of these documents, held in memory if it is small."""
    remembered, size = (tuple(files), field), _file_size(files)
    try:
        held = _held(chunks()) if size <= SMALL else None
        if held is not None:
            facts = scan(held)
        elif (known := known_facts(cache_folder(), *remembered)) is not None:
            facts = known
        else:
            facts = scan(chunks(), report, size if all(map(is_plain, files)) else 0)
            keep_facts(cache_folder(), *remembered, facts)
    except MemoryError as error:
        raise CorpusError(f"--data {data} has a document that does not fit in memory") from error
    if not facts.documents:
        msg = f"--data {data} is empty: name a text file to train on"
        raise CorpusError(msg)
    name, source = _name(data), f"file {data}"
    if len(files) > 1 or facts.documents > 1:
        where = data if len(names(data)) == 1 else name
        source = f"{facts.documents:,} document{'s' if facts.documents > 1 else ''} in {where}"
    if facts.sha256 == TINYSHAKESPEARE_SHA256:
        name, source = TINYSHAKESPEARE, f"{TINYSHAKESPEARE} (file {data})"
    if held is not None:
        kept = held  # not None, also for the type checker
        return Corpus(name, facts, lambda: kept, source, absolute(data))
    return Corpus(name, facts, chunks, source, absolute(data), remembered)


def _token_corpus(data: str, tokenizer: Tokenizer | None, report: Report) -> Corpus:
    """The corpus in a file of token ids."""
    if tokenizer is None:
        raise CorpusError(
            f"--data {data} has token ids instead of text: name what made them with --tokenizer "
            "PATH, a tokenizer.json or a run (a meta.pkl is a pickle, which is not read)"
        )
    tokens, remembered = open_tokens(data, tokenizer.vocab_size), ((data,), tokenizer.to_json())
    facts = known_facts(cache_folder(), *remembered)
    if facts is None:
        facts = facts_of(tokens, tokenizer, report)
        keep_facts(cache_folder(), *remembered, facts)
    name, chunks = user_path(data).name, partial(texts, tokens, tokenizer)
    return Corpus(name, facts, chunks, f"tokens in {data}", absolute(data), remembered, tokens)


def _held(chunks: Iterable[Chunk]) -> list[Chunk] | None:
    """All of the text, None if it is large."""
    held, size = [], 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk.text)
        if size > SMALL:
            return None
    return held


def _file_size(files: Sequence[str]) -> int:
    """Bytes of the files together; those that cannot be read have none, which is said later."""
    size = 0
    for path in files:
        with suppress(OSError, ValueError):
            size += os.path.getsize(user_path(path))
    return size


def _name(data: str) -> str:
    """A short name of the text."""
    named = names(data.removeprefix(HUB))
    first = user_path(named[0]).name or user_path(named[0]).absolute().name
    return first if len(named) == 1 else f"{first} and {len(named) - 1} more"


def cache_folder() -> Path:
    """The folder for downloads: $TINYGPT_CACHE, else the user's cache folder.

    Raises:
        CorpusError: $TINYGPT_CACHE is below the home of a user that does not exist.
    """
    if folder := os.environ.get("TINYGPT_CACHE"):
        place = user_path(folder)
        if str(place).startswith("~"):
            msg = f"TINYGPT_CACHE {folder} has no home folder: set it to an absolute path"
            raise CorpusError(msg)
        return place
    import pooch  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.1 s to import

    return Path(pooch.os_cache("tinygpt-tui"))


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _remedy() -> str:
    return "name a text file with --data PATH, or pip install 'tinygpt-tui[offline]'"


def _is_open_file(path: str | Path) -> bool:
    """Whether the path leads to what this process has open, as /dev/stdin does, also by links.

    It is another file, or none, in any other process.
    """
    step = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        if _OPEN_FILE.fullmatch(step):
            return True
        if not os.path.islink(step):
            break
        step = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step)))
    return False


def _read_whole(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


def _substitute(reason: str) -> Corpus:
    source = f"{shakespeare.NAME}: {reason}; its losses do not compare with {TINYSHAKESPEARE}'s"
    return Corpus.of(shakespeare.NAME, shakespeare.build(), source)


def _fall_back(reason: str) -> Corpus:
    """The substitute for `auto`; `reason` is why tinyshakespeare is not available."""
    try:
        return _substitute(reason)
    except CorpusError as error:
        msg = f"no corpus: {TINYSHAKESPEARE} is not available ({reason}), and {error}; {_remedy()}"
        raise CorpusError(msg) from error


def _tinyshakespeare(download: Download, cache: Path) -> Corpus:
    """The exact tinyshakespeare: from the cache, the current folder, or a download.

    Raises:
        CorpusError: none of them worked; lists the reasons.
    """
    tried: list[str] = []
    if local := local_tinyshakespeare(cache, tried):
        return local
    try:
        return _exact(download.fetch(cache / _FILE), "downloaded")
    except (OSError, CorpusError) as error:
        tried.append(str(error))
    raise CorpusError("; ".join(tried))


def local_tinyshakespeare(cache: Path, tried: list[str] | None = None) -> Corpus | None:
    """The exact tinyshakespeare from the folder `cache` or the current folder, None if it is in
    neither; adds to `tried` why a file of its name is not it."""
    for path, source in (
        (cache / _FILE, "cached download"),
        (Path(_FILE), f"./{_FILE}"),
        (Path("data", _FILE), f"./data/{_FILE}"),
    ):
        try:
            return _exact(path, source)
        except OSError:
            continue
        except CorpusError as error:
            if tried is not None:
                tried.append(str(error))
    return None


def _exact(path: Path, source: str) -> Corpus:
    raw = _read_whole(path)
    if _sha256(raw) != TINYSHAKESPEARE_SHA256:
        msg = f"{source}: not the bytes of {TINYSHAKESPEARE}"
        raise CorpusError(msg)
    source = f"{TINYSHAKESPEARE} ({source})"
    return Corpus.of(TINYSHAKESPEARE, raw.decode(), source, os.path.abspath(path))
