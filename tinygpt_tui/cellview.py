"""A widget that shows rows of cells, and sends only what changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tinygpt_tui import palette
from tinygpt_tui.render.cells import Row


class CellView(Widget):
    """Rows of cells by the line API. A row is repainted from its first changed cell to its last."""

    DEFAULT_CSS = "CellView { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: list[Row] = []

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows instead; equal ones cost nothing."""
        width, old = self.size.width, self.rows
        self.rows = list(rows[: max(1, self.size.height)])  # the width may not be known yet
        for y in range(max(len(old), len(self.rows))):
            before = old[y] if y < len(old) else ()
            after = self.rows[y] if y < len(self.rows) else ()
            if before != after:
                left, right = _changed(before, after, width)
                self.refresh(Region(left, y, right - left, 1))

    def repaint(self) -> None:
        """Paint everything anew: the colours changed."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row as textual paints it."""
        base = self.rich_style
        if y >= len(self.rows):
            return Strip.blank(self.size.width, base)
        how = {"dark": self.app.current_theme.dark, "mono": self.app.no_color}
        segments = [
            Segment(span.text, base + palette.style(span.style, **how)) for span in self.rows[y]
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)


def _changed(before: Row, after: Row, width: int) -> tuple[int, int]:
    """The columns between which two rows differ, as long as all their characters are narrow."""
    old, new = _cells(before), _cells(after)
    if old is None or new is None or len(old) != len(new):
        return 0, width
    differing = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return differing[0], differing[-1] + 1


def _cells(row: Row) -> list[tuple[str, str]] | None:
    """Each cell with its style; None if a character is not one cell wide."""
    if any(cell_len(span.text) != len(span.text) for span in row):
        return None
    return [(character, span.style) for span in row for character in span.text]
