"""Files in folders that others may have filled: regular files alone, and no more than is wanted.

Under the name of a settings file there can be a pipe, which never answers, or a device, which never
ends. Links to files are followed to read, as a run may well lie on several disks, and never to
write: a run that came from elsewhere could have its metrics appended to any file of yours.
"""

import errno
import os
import stat
from typing import BinaryIO

LARGEST = 64 << 20
"""Bytes of a file that is read whole and parsed: the tokenizer of a large vocabulary has some ten
million."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open for reading in binary. Raises OSError for what is no regular file."""
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def bad_byte(error: UnicodeDecodeError) -> str:
    """Where and why bytes are not UTF-8, for a sentence."""
    return f"invalid byte 0x{error.object[error.start]:02x} at byte {error.start:,}"


def open_to_write(path: str | os.PathLike[str], flags: int) -> int:
    """A descriptor by os.open's flags, made with mode 666 less the umask.

    Raises OSError for what is no regular file, and for a link.
    """
    return _opened(path, flags | os.O_NOFOLLOW)


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """A regular file of at most so many bytes, as UTF-8.

    Raises:
        OSError: it is missing, not a regular file, larger, or the disk refuses.
        ValueError: it is not UTF-8.
    """
    with open_regular(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest >> 10:,} KiB", os.fspath(path))
    return data.decode("utf-8")


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
