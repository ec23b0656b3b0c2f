"""A widget that shows rows of cells and repaints only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tinygpt_tui import theme
from tinygpt_tui.render.cells import Row

MIN_GAP = 8
"""Least number of unchanged cells between two changes of a row that are sent separately: moving the
cursor costs about as many bytes."""


class CellView(Widget):
    """Shows rows of cells with Textual's line API."""

    DEFAULT_CSS = "CellView { height: 1; }"

    def __init__(
        self, *, id: str | None = None, clicked: Callable[[int, int, Size], None] | None = None
    ) -> None:
        """`clicked` is called with the column and the line of a click, and the size."""
        super().__init__(id=id)
        self._clicked = clicked
        self.rows: list[Row] = []

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; only the parts that changed are repainted."""
        width, old = self.size.width, self.rows
        self.rows = list(rows[: max(1, self.size.height)])  # the height may not be known yet
        for y in range(max(len(old), len(self.rows))):
            before = old[y] if y < len(old) else ()
            after = self.rows[y] if y < len(self.rows) else ()
            if before != after:
                for left, right in changed(before, after, width):
                    self.refresh(Region(left, y, right - left, 1))

    def on_click(self, event: events.Click) -> None:
        if self._clicked is not None:
            self._clicked(event.x, event.y, self.size)

    def repaint(self) -> None:
        """Repaint everything, after the theme changed."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row in the colours of the theme."""
        base = self.rich_style
        if y >= len(self.rows):
            return Strip.blank(self.size.width, base)
        how = self.app.current_theme.dark, self.app.no_color
        segments = [Segment(text, on(base, style, *how)) for text, style in self.rows[y]]
        return Strip(segments).adjust_cell_length(self.size.width, base)


@lru_cache(maxsize=4096)
def on(base: Style, name: str, dark: bool, mono: bool) -> Style:  # noqa: FBT001 - for the cache
    """A named style on top of the widget's own; cached: a heatmap needs hundreds per frame."""
    style = theme.style(name, dark=dark, mono=mono)
    # A ground is drawn with blanks; without a colour for their text, it takes a third fewer bytes.
    return style if name.startswith("/") else base + style


def changed(before: Row, after: Row, width: int) -> list[tuple[int, int]]:
    """The ranges of columns (half-open) where two rows differ; all if a character is wide."""
    old, new = _cells(before), _cells(after)
    if old is None or new is None or len(old) != len(new):
        return [(0, width)]
    parts: list[tuple[int, int]] = []
    for place, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b:
            near = bool(parts) and place - parts[-1][1] < MIN_GAP
            left = parts.pop()[0] if near else place
            parts.append((left, place + 1))
    return parts


def _cells(row: Row) -> list[tuple[str, str]] | None:
    """Characters with their styles; None if one is not exactly one cell wide."""
    if any(cell_len(span.text) != len(span.text) for span in row):
        return None
    return [(character, span.style) for span in row for character in span.text]
