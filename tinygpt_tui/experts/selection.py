"""Which view, layer and rows of the table the Experts tab shows."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.experts import lift_table
from tinygpt_tui.experts.state import ORDERS, VIEWS, ExpertsState


class ViewSelection:
    """Everything that the tab shows, and the changes that need no engine."""

    def __init__(self, *, digits: bool = False) -> None:
        self.scene = ExpertsState(digits=digits)

    def change(self, **changes: object) -> None:
        """Replace fields of the scene."""
        self.scene = replace(self.scene, **changes)  # type: ignore[arg-type]

    @property
    def layers(self) -> int:
        """L; 1 before anything is known."""
        shown = self.scene
        if shown.reading:
            return shown.reading.layers
        if shown.census:
            return shown.census.layers
        return len(shown.routings[-1].load) if shown.routings else 1

    def move_layer(self, by: int) -> None:
        """Move to another layer."""
        self.change(layer=min(max(self.scene.layer + by, 0), self.layers - 1))

    def next_view(self, *, joined: bool) -> None:
        """Load, text, table; `joined`: load and text are one view."""
        place = VIEWS.index(self.scene.view)
        wanted = VIEWS[(place + 1) % len(VIEWS)]
        if joined:
            wanted = "load" if self.scene.view == "table" else "table"
        self.change(view=wanted)

    def toggle_digits(self) -> None:
        """Show the expert's number under each character, or not."""
        self.change(digits=not self.scene.digits)

    def scroll(self, by: int, room: int) -> None:
        """Scroll the table by rows, of which `room` are visible."""
        found = self.scene.census
        if found is None:
            return
        total = lift_table.rows_of(
            found, min(self.scene.layer, found.layers - 1), self.scene.sorting
        )
        top = min(max(self.scene.sorting.top + by, 0), max(total - room, 0))
        self._sort(top=top)

    def _sort(self, **changes: object) -> None:
        self.change(sorting=replace(self.scene.sorting, **changes))  # type: ignore[arg-type]

    def toggle_classes(self) -> None:
        """Characters, or classes of characters."""
        self._sort(classes=not self.scene.sorting.classes, top=0)

    def next_order(self) -> None:
        """Order by lift, count or name."""
        place = ORDERS.index(self.scene.sorting.order)
        self._sort(order=ORDERS[(place + 1) % len(ORDERS)], top=0)

    def next_expert(self) -> None:
        """Select the next expert of the table."""
        experts = self.scene.census.experts if self.scene.census else 1
        self._sort(expert=(self.scene.sorting.expert + 1) % experts, top=0)

    def say(self, note: str) -> None:
        """Show a sentence below everything until the next key."""
        if note != self.scene.note:
            self.change(note=note)
