"""Runs notebooks/TinyGPT.ipynb and keeps its outputs in it, as they are shown on GitHub.

    python scripts/notebook.py tinyshakespeare.txt

The run goes to a temporary folder, in which the text is found under its name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "TinyGPT.ipynb"


def main() -> None:
    """Run all cells; nothing is written if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    options = parser.parse_args()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(options.data, Path(folder, "tinyshakespeare.txt"))
        os.chdir(folder)
        NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
        os.chdir(NOTEBOOK.parent)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of each cell, which differ every time
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
