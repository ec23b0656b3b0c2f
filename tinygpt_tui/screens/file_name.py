"""Check a file name as it is typed."""

from __future__ import annotations

from pathlib import Path


def save_problem(name: str) -> str | None:
    """Why a file cannot be saved there."""
    path = Path(name).expanduser()
    if not name.strip() or path.is_dir():
        return "Name a file"
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}"
    return f"{path} is there already: choose another name" if path.exists() else None


def file_problem(name: str) -> str | None:
    """Why a file cannot be looked at."""
    path = Path(name).expanduser()
    if not name.strip() or path.is_dir():
        return "Name a text file"
    return None if path.is_file() else f"There is no file {path}"
