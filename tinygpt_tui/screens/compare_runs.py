"""The screen that compares runs: what was changed, and was it better?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.message import Message

from tinygpt.run import Item
from tinygpt_tui.keymap import COMPARISON
from tinygpt_tui.monitor.run_groups import by_setting
from tinygpt_tui.monitor.run_histories import RunHistories
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.screens.compare_table import ComparedRun, OneOfSeveral, comparison
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.runs_table import RunEntry, read_entries
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

REFRESH = 5.0
"""Seconds between two reads of the runs."""


class _Read(Message):
    """The runs have been read: (index of the run, items, whether they start over) of each part."""

    def __init__(self, parts: list[tuple[int, list[Item], bool]]) -> None:
        super().__init__()
        self.parts = parts


def compare_runs(app: App[Any], out: Path, paths: Sequence[Path]) -> None:
    """Compare the runs of the folder `out` that have these paths, in this order. They are listed in
    a thread: a network disk may be slow."""

    def show(entries: list[RunEntry]) -> None:
        app.push_screen(CompareRunsScreen(entries))

    def read() -> None:
        listed = {entry.run.path: entry for entry in read_entries(out)}
        app.call_from_thread(show, [listed[path] for path in paths if path in listed])

    app.run_worker(read, thread=True, exit_on_error=False)


class CompareRunsScreen(Dialog[None]):
    """Settings that differ and results of several runs side by side; the first is the baseline.

    Runs that differ in their seed alone share a column of means, unless it would be the only one.
    """

    DEFAULT_CSS = """
    CompareRunsScreen {
        .box { width: 100%; max-width: 172; height: 100%; padding: 0 1; }
        CellView { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(COMPARISON)

    def __init__(self, entries: Sequence[RunEntry]) -> None:
        keys = [("↑↓←→", "scroll"), ("a", "all settings"), ("b", "next baseline"), ("Esc", "back")]
        super().__init__("Runs compared · differences: run - baseline", keys)
        self._entries = {entry.run.path: entry for entry in entries}
        self._runs = RunHistories([*self._entries])
        places = {path: entry.place for path, entry in self._entries.items()}
        self._order = by_setting([*self._entries], places)
        if len(self._order) == 1:
            self._order = by_setting([*self._entries], {})
        self._all_settings = False
        self._top = self._left = 0
        self._body: list[Row] = []
        self._is_read = False

    def compose(self) -> ComposeResult:
        box = self.box(CellView())
        box.styles.min_width = 0  # in a narrow window, rather the hints are cut off
        yield box

    def on_mount(self) -> None:
        self._refresh_runs()
        self.set_interval(REFRESH, self._refresh_runs)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    # -- reading

    def _refresh_runs(self) -> None:
        self.run_worker(self._read, thread=True, exclusive=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread: a long run takes a second."""
        self.post_message(_Read(list(self._runs.read())))

    def on__read(self, event: _Read) -> None:
        for index, items, restarted in event.parts:
            self._runs.add(index, items, restarted=restarted)
        if event.parts or not self._is_read:
            self._is_read = True
            self._show()

    # -- drawing

    def _show(self) -> None:
        view = self.query_one(CellView)
        columns, lines = view.size
        if columns <= 0 or lines <= 0:
            return
        if not self._is_read:
            view.show([row(Span("Reading the runs", "muted"))])
            return
        head, self._body, self._left = comparison(
            self._compared(), columns, scrolled=self._left, all_settings=self._all_settings
        )
        self._top = max(0, min(self._top, len(self._body) - self._page))
        view.show([*head, *self._body[self._top : self._top + self._page]])

    @property
    def _page(self) -> int:
        """Rows below the names and states of the runs."""
        return max(1, self.query_one(CellView).size.height - 2)

    def _compared(self) -> list[ComparedRun]:
        histories = dict(zip(self._runs.paths, self._runs.histories, strict=True))
        compared = []
        for runs in self._order:
            entries = [self._entries[path] for path in runs.paths]
            settings = entries[0].summary.settings
            compared.append(
                ComparedRun(
                    runs.name,
                    entries[0].run.state,
                    settings,
                    histories[runs.paths[0]],
                    " · ".join(filter(None, (entry.note for entry in entries))),
                    tuple(
                        OneOfSeveral(
                            entry.run.state,
                            entry.summary.settings.get("seed"),
                            histories[entry.run.path],
                        )
                        for entry in entries[1:]
                    ),
                )
            )
        return compared

    # -- keys

    def action_scroll(self, by: int) -> None:
        self._top = max(0, self._top + by)
        self._show()

    def action_page(self, by: int) -> None:
        self.action_scroll(by * self._page)

    def action_jump(self, to: int) -> None:
        self._top = to
        self._show()

    def action_columns(self, by: int) -> None:
        self._left = max(0, self._left + by)
        self._show()

    def action_all_settings(self) -> None:
        self._all_settings = not self._all_settings
        self._top = 0
        self._show()

    def action_rotate(self) -> None:
        """Put the next run first, as the baseline."""
        self._order = [*self._order[1:], self._order[0]]
        self._show()
