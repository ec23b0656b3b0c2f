"""A lock on a folder, which the system releases however its holder ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sole_holder(folder: str | os.PathLike[str]) -> Iterator[bool]:
    """Whether no other process is in such a with-block for the folder; none can enter during this
    one. True on a disk that has no locks. Raises OSError if the folder cannot be opened."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
