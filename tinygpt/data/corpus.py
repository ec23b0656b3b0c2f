"""Finds a corpus: the exact tinyshakespeare, its offline substitute, or any UTF-8 text file.

By default, the first of these that is available: tinyshakespeare from the user's cache, from an
identical file in the current folder, or from a download whose sha256 is checked; else the
substitute of `tinygpt.data.shakespeare`, under its own name and with the reason. Text is never
changed: newlines and a byte-order mark (U+FEFF) stay as they are, so that `Corpus.text` and
`Corpus.sha256` are of the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tinygpt.data import shakespeare
from tinygpt.data.download import Download
from tinygpt.errors import CorpusError
from tinygpt.fields import closest
from tinygpt.files.encoding import encoding_problem, wide_encoding
from tinygpt.files.paths import user_path
from tinygpt.files.safe_open import open_regular

TINYSHAKESPEARE = "tinyshakespeare"
TINYSHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
KNOWN = (TINYSHAKESPEARE, shakespeare.NAME)
FALLBACK_WARNING = "an offline substitute: losses do not compare"
"""What there is to know of the substitute, in a few words."""
_REQUESTED = "as requested"
"""In `Corpus.source`: the substitute was asked for by its name."""

_FILE = "tinyshakespeare.txt"
_OPEN_FILE = re.compile(r"/dev/fd/\d+|/proc/.+/fd/\d+")
_MOST_LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class Corpus:
    """A text to train on, and its source."""

    name: str
    """tinyshakespeare, shakespeare-standin, or the name of the file."""
    text: str
    """The characters, with the newlines of the file."""
    sha256: str
    """Of the UTF-8 bytes as read, in hexadecimal."""
    source: str
    """One line: which corpus this is, and why it was chosen."""
    size: int | None = None
    """Bytes; None if it was not read from a file."""
    path: str | None = None
    """Absolute, of its file; None if it was not read from a file."""


def find_corpus(
    data: str = "auto",
    *,
    progress: object | bool = False,
    timeout: float = 5.0,
    cache: Path | None = None,
    url: str = TINYSHAKESPEARE_URL,
) -> Corpus:
    """The corpus named by `data`.

    Args:
        data: ``auto`` (tinyshakespeare, else the substitute), ``tinyshakespeare``,
            ``shakespeare-standin``, or a path (``./auto`` for a file of that name).
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
        return read_text(data)
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


def read_text(path: str | Path) -> Corpus:
    """Any UTF-8 text file as a corpus, unchanged.

    Raises:
        CorpusError: the file is missing, unreadable, empty, binary (contains a NUL), a stream or
            not UTF-8; for UTF-16 the message says how to convert it.
    """
    if str(path) == "-" or _is_open_file(path):
        msg = (
            f"--data {path} is a stream, which a resume could not read again: "
            "save the text to a file, and name that"
        )
        raise CorpusError(msg)
    raw = _read_bytes(str(path))
    if not raw:
        msg = f"--data {path} is empty: name a text file to train on"
        raise CorpusError(msg)
    if encoding := wide_encoding(raw):
        convert = f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > utf-8.txt"
        msg = f"--data {path} is {encoding} text: convert it to UTF-8 with {convert}"
        raise CorpusError(msg)
    if (nul := raw.find(0)) >= 0:
        msg = f"--data {path} is a binary file (NUL at byte {nul:,}): name a UTF-8 text file"
        raise CorpusError(msg)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        msg = f"--data {path} is {encoding_problem(error)}: save it as UTF-8"
        raise CorpusError(msg) from error
    sha256 = _sha256(raw)
    place = user_path(str(path))
    name, source = place.name, f"file {path}"
    if sha256 == TINYSHAKESPEARE_SHA256:
        name, source = TINYSHAKESPEARE, f"{TINYSHAKESPEARE} (file {path})"
    return Corpus(name, text, sha256, source, len(raw), os.path.abspath(place))


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


def _read_bytes(name: str) -> bytes:
    with open_file(name) as file:
        return file.read()


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
        near = closest(name, ("auto", *KNOWN))
        hint = f"did you mean {near}?" if near else f"name a text file, {' or '.join(KNOWN)}"
        msg = f"--data {name} does not exist: {hint}"
        raise CorpusError(msg) from error
    except IsADirectoryError as error:
        msg = f"--data {name} is a folder: name a text file in it"
        raise CorpusError(msg) from error
    except PermissionError as error:
        msg = f"--data {name} cannot be read (permission denied): change that, or name another file"
        raise CorpusError(msg) from error
    except (OSError, ValueError) as error:  # a device, NUL in a name
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        msg = f"--data {name} cannot be read ({why}): name a UTF-8 text file"
        raise CorpusError(msg) from error


def _substitute(reason: str) -> Corpus:
    text = shakespeare.build()
    return Corpus(
        name=shakespeare.NAME,
        text=text,
        sha256=_sha256(text.encode()),
        source=f"{shakespeare.NAME}: {reason}; its losses do not compare with {TINYSHAKESPEARE}'s",
    )


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
    if (sha256 := _sha256(raw)) != TINYSHAKESPEARE_SHA256:
        msg = f"{source}: not the bytes of {TINYSHAKESPEARE}"
        raise CorpusError(msg)
    return Corpus(
        name=TINYSHAKESPEARE,
        text=raw.decode(),
        sha256=sha256,
        source=f"{TINYSHAKESPEARE} ({source})",
        size=len(raw),
        path=os.path.abspath(path),
    )
