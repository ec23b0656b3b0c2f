"""Check a typed file name, for saving or for reading."""

from __future__ import annotations

from pathlib import Path


def save_problem(name: str) -> str | None:
    """Why no file can be saved under this name; None if it can."""
    path = Path(name).expanduser()
    if not name.strip() or path.is_dir():
        return "Enter a file name"
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}"
    return f"{path} already exists: choose another name" if path.exists() else None


def file_problem(name: str) -> str | None:
    """Why this is not the name of a readable file; None if it is."""
    path = Path(name).expanduser()
    if not name.strip() or path.is_dir():
        return "Enter the name of a text file"
    return None if path.is_file() else f"There is no file {path}"
