"""Opens files in untrusted folders: only regular files, and up to a limited size.

A run from elsewhere may have a pipe in place of a settings file, which blocks forever, or a device,
which never ends. Links are followed for reading, as a run may span several disks, but never for
writing: a foreign run could otherwise have its metrics appended to any of the user's files.
"""

import errno
import os
import stat
import tomllib
from typing import Any, BinaryIO

LARGEST = 64 << 20
"""Bytes of the largest file that is read as a whole: a large vocabulary takes about 10 MB."""
LARGEST_TOML = 1 << 20
"""Bytes of the largest settings file that is read: a thousand times the usual size."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open for reading in binary. Raises OSError for anything but a regular file."""
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def open_to_write(path: str | os.PathLike[str], flags: int) -> int:
    """Open with the flags of `os.open`; returns the descriptor. New files get mode 666 less umask.

    Raises OSError for anything but a regular file, and for links.
    """
    return _opened(path, flags | os.O_NOFOLLOW)


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """The UTF-8 text of a regular file of at most `largest` bytes.

    Raises:
        OSError: it is missing, not a regular file, too large, or cannot be read.
        ValueError: it is not UTF-8.
    """
    with open_regular(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest >> 10:,} KiB", os.fspath(path))
    return data.decode("utf-8")


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a regular file of at most `LARGEST_TOML` bytes; a byte-order mark is ignored.

    Raises:
        OSError: as `read_text`.
        UnicodeDecodeError: it is not UTF-8.
        ValueError: it is not TOML.
    """
    text = read_text(path, LARGEST_TOML).removeprefix("\ufeff")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its tables are nested too deep") from error


def _opened(path: str | os.PathLike[str], flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a link", os.fspath(path)) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
