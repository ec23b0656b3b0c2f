"""Compares rows of cells with stored ones; UPDATE_SNAPSHOTS=1 rewrites these, for review.

A snapshot file has the text of the rows, then the styles of each row as runs of columns.
"""

import os
from collections.abc import Sequence

from rich.cells import cell_len

from tests.helpers.paths import ROOT
from tinygpt_tui.render.cells import Row, Span, plain, width
from tinygpt_tui.shell.line_filters import ascii_text

FOLDER = ROOT / "tests/tui/snapshots"


def as_ascii(rows: Sequence[Row]) -> list[Row]:
    """The rows as ``--ascii`` draws them, of the same width."""
    drawn = [tuple(Span(ascii_text(span.text), span.style) for span in row) for row in rows]
    assert [width(row) for row in drawn] == [width(row) for row in rows]
    assert all(text.isascii() for text in plain(drawn))
    return drawn


def describe(rows: Sequence[Row]) -> str:
    """The content of a snapshot file."""
    styles = [" ".join(f"{cell_len(s.text)}:{s.style or '-'}" for s in row) for row in rows]
    return "\n".join([*(line + "|" for line in plain(rows)), "", *styles, ""])


def check(name: str, rows: Sequence[Row]) -> None:
    """Assert that the rows equal the snapshot."""
    path, found = FOLDER / f"{name}.txt", describe(rows)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
