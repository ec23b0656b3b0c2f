"""The folder of an export: it appears whole, and replaces nothing but an earlier export."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt.files import atomic


@contextmanager
def export_folder(
    target: str | os.PathLike[str], names: Collection[str], is_export: Callable[[Path], bool]
) -> Iterator[tuple[Path, Path]]:
    """Yield an empty folder to write into, and the path that it becomes when the block ends.

    Args:
        target: where the export shall be. A folder there has to be empty, or an export.
        names: the files that an export may consist of.
        is_export: whether a folder with only such files is one.

    Raises:
        ConfigError: `target` is something else, or cannot be written; it is as it was.
    """
    final = Path(os.path.realpath(target))
    _refuse(target, final, names, is_export)
    try:
        atomic.make_folders(final.parent)
        with atomic.directory(final) as folder:
            yield folder, final
    except OSError as error:
        raise ConfigError(f"--export {target} cannot be written: {error.strerror}") from error


def _refuse(
    target: str | os.PathLike[str],
    final: Path,
    names: Collection[str],
    is_export: Callable[[Path], bool],
) -> None:
    if not os.path.lexists(final):
        return
    advice = "name a new folder"
    if not os.path.isdir(final):
        raise ConfigError(f"--export {target} is not a folder: {advice}")
    if os.path.samefile(final, os.getcwd()):
        raise ConfigError(f"--export {target} is the current folder: {advice}")
    try:
        found = sorted(os.listdir(final))
        if others := [name for name in found if name not in names]:
            raise ConfigError(
                f"--export {target} has {printable(others[0])}, which is not of such an export: "
                f"{advice}"
            )
        if found and not is_export(final):
            raise ConfigError(f"--export {target} has files that are not an export's: {advice}")
    except OSError as error:
        raise ConfigError(f"--export {target} cannot be read: {error.strerror}") from error
