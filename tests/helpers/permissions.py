"""Folders that are closed to the user of a test, even if that is root, which may enter any."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OTHER_USER = 12345


@contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter: pytest's own are closed to all others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # noqa: S103 - it is empty, and gone after the test
        yield Path(name)


@contextmanager
def closed(folder: Path, mode: int = 0) -> Iterator[None]:
    """Inside the block, `folder` has only these permissions, and root is `OTHER_USER`."""
    before = folder.stat().st_mode
    folder.chmod(mode)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(OTHER_USER)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(before)
