"""The header and the footer of the app, whose tabs and keys can be clicked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from textual.geometry import Size

from tinygpt_tui.keymap import Key
from tinygpt_tui.monitor.open_run import OpenRun
from tinygpt_tui.render.header_footer import footer_row, header_row, key_at, tab_at
from tinygpt_tui.widgets.cell_view import CellView


class Header(CellView):
    """The tabs, and what is known of the open run."""

    def __init__(self, open_tab: Callable[[str], None]) -> None:
        """`open_tab` is called with the name of a tab that is clicked."""
        super().__init__(id="header", clicked=self._open)
        self._open_tab = open_tab
        self._tab = ""

    def show_run(self, tab: str, run: OpenRun) -> None:
        """Show that this tab is open, and the run."""
        self._tab = tab
        name = run.path.name if run.path else None
        columns = self.app.size.width  # its own is not known yet after a resize
        row = header_row(tab, name, run.corpus, run.state, columns, requested=run.requested)
        self.show([row])

    def _open(self, x: int, _: int, size: Size) -> None:
        if tab := tab_at(x, self._tab, size.width):
            self._open_tab(tab)


class Footer(CellView):
    """The most useful keys."""

    def __init__(self, press: Callable[[Key], Awaitable[object]]) -> None:
        """`press` is called with the key that is clicked."""
        super().__init__(id="footer", clicked=self._do)
        self._press = press
        self._keys: Sequence[Key] = ()

    def show_keys(self, keys: Sequence[Key]) -> None:
        """Show as many of these keys as fit."""
        self._keys = keys
        self.show([footer_row(keys, self.app.size.width)])

    def _do(self, x: int, _: int, size: Size) -> None:
        if key := key_at(x, self._keys, size.width):
            self.call_later(self._press, key)
