"""The widget of the list of runs: rows with names, and a cursor that stays on its row."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class RunList(OptionList):
    """The rows of the runs, by name."""

    def show(self, rows: Mapping[str, Text], first: str | None) -> None:
        """Show these rows. The cursor stays on its run or near it, and begins at `first`."""
        if [option.id for option in self.options] != list(rows):
            self._replace(rows, first)
            return
        for index, text in enumerate(rows.values()):
            if self.get_option_at_index(index).prompt != text:
                self.replace_option_prompt_at_index(index, text)

    def _replace(self, rows: Mapping[str, Text], first: str | None) -> None:
        name, place = self.chosen or first, self.highlighted or 0
        self.clear_options()
        self.add_options(Option(text, id=run) for run, text in rows.items())
        if rows:
            nearby = min(place, len(rows) - 1)
            self.highlighted = list(rows).index(name) if name and name in rows else nearby

    def move_on(self) -> None:
        """Move the cursor to the next run; at the last one it stays."""
        if self.highlighted is not None and self.highlighted < self.option_count - 1:
            self.action_cursor_down()

    @property
    def chosen(self) -> str | None:
        """The name of the run under the cursor."""
        if self.highlighted is None or not self.option_count:
            return None
        return self.get_option_at_index(self.highlighted).id
