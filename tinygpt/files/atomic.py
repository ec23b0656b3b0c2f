"""Writes files and folders atomically: they appear complete or not at all.

Everything is written under a temporary name in the folder of its target, synced to disk, and
renamed over the target. A reader sees either the old content or the new; a killed process leaves
only a temporary file, whose name starts with "." so that listings skip it.
"""

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)


def write_bytes(path: str | os.PathLike[str], data: bytes, *, durable: bool = True) -> None:
    """Replace the content of the file `path` with `data`.

    With `durable`, file and folder are synced, so that even a power cut leaves the old file or the
    new one. Without, the replacement is still atomic for readers, but a power cut may lose it: for
    files that are rewritten every few seconds. Raises OSError, and leaves `path` as it was, if the
    disk is full or the folder is missing.
    """
    target = Path(path)
    temporary = _temporary_beside(target)
    try:
        # Mode 666 less the umask, unlike tempfile's 600: others on a shared disk may read a run.
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if durable:
                sync_to_disk(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str, *, durable: bool = True) -> None:
    """Like `write_bytes`, with `text` in UTF-8, without newline conversion."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_json(path: str | os.PathLike[str], obj: object, *, durable: bool = True) -> None:
    """Like `write_bytes`, with `obj` as indented strict JSON (ASCII).

    Raises ValueError for NaN and infinities, TypeError for what JSON cannot represent; `path` is
    then untouched.
    """
    text = json.dumps(obj, indent=2, allow_nan=False)
    write_text(path, text + "\n", durable=durable)


@contextmanager
def replacement(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary file, to be created, that becomes `path` when the block ends
    without exception: as with `write_bytes`, for a file that is written in parts."""
    target = Path(path)
    temporary = _temporary_beside(target)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


@contextmanager
def directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `target` when the block ends without exception.

    All files and folders in it, and the parent, are synced to disk. The parent of `target` is
    created, but not its grandparent, so that a deleted run does not reappear with a single
    checkpoint in it. An existing `target` is replaced; between the two renames neither exists for
    an instant. After an exception, KeyboardInterrupt included, the temporary folder is removed and
    `target` is as it was.
    """
    final = Path(target)
    final.parent.mkdir(exist_ok=True)
    _sync_folder(final.parent.parent)  # even if it existed: its entry may not be on disk yet
    temporary = _temporary_beside(final)
    temporary.mkdir()
    try:
        yield temporary
        _sync_tree(temporary)
        _move_over(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(final.parent)


def make_folders(folder: str | os.PathLike[str]) -> None:
    """Create a folder and its missing parents; each new one is synced to disk.

    Raises OSError; for a link that leads nowhere, and for what is not a folder, it says so.
    """
    missing = [path for path in (Path(folder), *Path(folder).parents) if not os.path.isdir(path)]
    for path in reversed(missing):
        _make_folder(path)
        _sync_folder(path.parent)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError as error:
        why = "it is not a folder"
        if os.path.islink(path):
            why = f"it is a link to {os.readlink(path)}, which does not exist"
        raise NotADirectoryError(errno.ENOTDIR, why, os.fspath(path)) from error


def remove_directory(folder: str | os.PathLike[str]) -> None:
    """Delete a folder so that readers find it complete or not at all.

    What cannot be deleted stays as a leftover, see `remove_leftovers`.
    """
    hidden = _temporary_beside(Path(folder))
    with suppress(OSError):
        os.rename(folder, hidden)
        _remove(hidden)


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Delete temporary files that a killed process left in `folder`; returns their paths, sorted.

    Only for the process that owns the folder (holds the run's lock), as it would also delete files
    that another is writing. A missing folder has no leftovers.
    """
    try:
        entries = sorted(Path(folder).iterdir())
    except FileNotFoundError:
        return []
    leftovers = [entry for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for leftover in leftovers:
        _remove(leftover)
    return leftovers


def sync_to_disk(descriptor: int) -> None:
    """fsync an open file or folder. On macOS, fsync alone stops at the cache of the drive."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        with suppress(OSError):  # not supported by every file system
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _temporary_beside(target: Path) -> Path:
    # 48 characters take at most 192 bytes in UTF-8, so that the name stays under 255 bytes.
    return target.parent / f".{target.name[:48]}.{secrets.token_hex(4)}.tmp"


def _move_over(source: Path, target: Path) -> None:
    """Rename the folder `source` to `target`. An existing target is moved away first, and back if
    the rename fails."""
    if not os.path.lexists(target):
        os.rename(source, target)
        return
    aside = _temporary_beside(target)
    os.rename(target, aside)
    try:
        os.rename(source, target)
    except BaseException:
        os.rename(aside, target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _sync_tree(root: Path) -> None:
    for folder, _, files in os.walk(root):
        for name in files:
            _sync(Path(folder, name))
        _sync_folder(Path(folder))


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as error:  # some network file systems cannot sync folders
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_to_disk(descriptor)
    finally:
        os.close(descriptor)
