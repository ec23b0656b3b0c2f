"""The user's note on a run: `note.md` in its directory, which no trainer reads or writes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tinygpt.errors import RunError
from tinygpt.escape import printable
from tinygpt.files import atomic
from tinygpt.files.safe_open import read_text
from tinygpt.run.layout import NOTE, StrPath

LARGEST_NOTE = 1 << 16
"""Bytes of the longest note."""


def read_note(run: StrPath) -> str:
    """The note of the run directory `run`; empty if it has none.

    Raises:
        RunError: it cannot be read, is not UTF-8 or is longer than `LARGEST_NOTE`.
    """
    file = Path(run, NOTE)
    try:
        return read_text(file, LARGEST_NOTE)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{file} is not text in UTF-8") from error


def write_note(run: StrPath, text: str) -> None:
    """Replace the note of the run directory `run`; a blank one is removed.

    Raises:
        RunError: it cannot be written, or is longer than `LARGEST_NOTE`.
    """
    file = Path(run, NOTE)
    data = f"{text.strip()}\n".encode()
    if len(data) > LARGEST_NOTE:
        raise RunError(f"the note has {len(data):,} bytes: at most {LARGEST_NOTE:,} are kept")
    try:
        if text.strip():
            atomic.write_bytes(file, data)
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error


def first_line(run: StrPath) -> str:
    """The first line of the note with words in it, printable and without Markdown's marks of a
    heading; empty without a note, and if it cannot be read."""
    with suppress(RunError):
        for line in read_note(run).splitlines():
            if words := printable(line).strip("# \t"):
                return words
    return ""
