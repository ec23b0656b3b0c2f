"""Check a typed file name, for saving or for reading."""

from __future__ import annotations

import os
from pathlib import Path

from tinygpt.files.paths import access_problem, user_path

QUOTES = "'\""


def unquoted(text: str) -> str:
    """A typed or pasted path, without the blanks and quotes around it, unless a file has them in
    its name."""
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in QUOTES:
        bare = bare[1:-1]
    return text if os.path.lexists(text) else bare


def typed_path(text: str) -> Path:
    """The path that was typed or pasted: `unquoted`, and with ~ for the home folder; ~nobody stays
    as it is, and is not found."""
    return user_path(unquoted(text))


def save_problem(name: str) -> str | None:
    """Why no file can be saved under this name; None if it can."""
    path = typed_path(name)
    if not unquoted(name) or os.path.isdir(path):
        return "Enter a file name"
    if why := access_problem(path):
        return f"{path} cannot be written: {why}"
    if not os.path.isdir(path.parent):
        return f"There is no folder {path.parent}"
    return f"{path} already exists: choose another name" if os.path.lexists(path) else None


def file_problem(name: str) -> str | None:
    """Why this is not the name of a readable file; None if it is."""
    path = typed_path(name)
    if not unquoted(name) or os.path.isdir(path):
        return "Enter the name of a text file"
    if why := access_problem(path):
        return f"{path} cannot be read: {why}"
    return None if os.path.isfile(path) else f"There is no file {path}"
