"""Which view, layer and rows of the table the Experts tab shows."""

from __future__ import annotations

from dataclasses import replace

from tinygpt_tui.experts import lift_table
from tinygpt_tui.experts.state import ORDERS, VIEWS, ExpertsState


class ViewSelection:
    """The state of the tab, and the changes of it that need no engine."""

    def __init__(self, *, digits: bool = False) -> None:
        self.state = ExpertsState(digits=digits)

    def change(self, **changes: object) -> None:
        """Replace fields of the state."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]

    @property
    def layers(self) -> int:
        """Layers of the MoE; 1 until they are known."""
        return self.state.layers or 1

    def move_layer(self, by: int) -> None:
        """Move to another layer."""
        self.change(layer=min(max(self.state.layer + by, 0), self.layers - 1))

    def next_view(self, *, joined: bool) -> None:
        """Switch between load, text and table; `joined`: load and text are one view."""
        place = VIEWS.index(self.state.view)
        view = VIEWS[(place + 1) % len(VIEWS)]
        if joined:
            view = "load" if self.state.view == "table" else "table"
        self.change(view=view)

    def toggle_digits(self) -> None:
        """Show or hide the expert's number under each character."""
        self.change(digits=not self.state.digits)

    def scroll(self, by: int, room: int) -> None:
        """Scroll the table by rows; `room` rows are visible."""
        survey = self.state.survey
        if survey is None:
            return
        layer = min(self.state.layer, survey.layers - 1)
        total = lift_table.rows_of(survey, layer, self.state.sorting)
        top = min(max(self.state.sorting.top + by, 0), max(total - room, 0))
        self._sort(top=top)

    def _sort(self, **changes: object) -> None:
        self.change(sorting=replace(self.state.sorting, **changes))  # type: ignore[arg-type]

    def toggle_classes(self) -> None:
        """Switch the table between characters and classes of characters."""
        self._sort(classes=not self.state.sorting.classes, top=0)

    def next_order(self) -> None:
        """Sort the table by lift, count or name in turn."""
        place = ORDERS.index(self.state.sorting.order)
        self._sort(order=ORDERS[(place + 1) % len(ORDERS)], top=0)

    def next_expert(self) -> None:
        """Select the next expert; after the last, the first."""
        experts = self.state.experts or 1
        self._sort(expert=(self.state.sorting.expert + 1) % experts, top=0)

    def page_experts(self, by: int) -> None:
        """Select the expert `by` places later, at most the last."""
        last = max(self.state.experts - 1, 0)
        self._sort(expert=min(max(self.state.sorting.expert + by, 0), last), top=0)

    def say(self, note: str) -> None:
        """Show a sentence at the bottom; empty removes it."""
        if note != self.state.note:
            self.change(note=note)
