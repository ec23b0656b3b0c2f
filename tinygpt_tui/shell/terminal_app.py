"""An app that suits its terminal: the driver, the characters and the colours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from rich.console import RenderableType
from textual.app import ReturnType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen

from tinygpt_tui.shell.driver import TerminalDriver
from tinygpt_tui.shell.error_reports import ErrorReportingApp
from tinygpt_tui.shell.line_filters import AsciiFilter, ControlCharacterFilter, FilterChain
from tinygpt_tui.shell.sixteen_colors import SixteenColorsFilter
from tinygpt_tui.shell.textual_patches import only_changed


class TerminalApp(ErrorReportingApp[ReturnType]):
    """An app for any terminal; `ascii` draws with ASCII characters only."""

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__()
        self.ascii = ascii

    @property
    def few_colors(self) -> bool:
        """Whether the terminal has 16 colours or fewer: TERM=xterm, screen or linux."""
        return self.console.color_system == "standard"

    @property
    def truecolor(self) -> bool:
        """Whether the terminal has more than 256 colours, as COLORTERM says: not over SSH."""
        return self.console.color_system == "truecolor"

    def get_driver_class(self) -> type[Driver]:
        """Ours in place of Textual's for a terminal; TEXTUAL_DRIVER may name another."""
        driver = super().get_driver_class()
        return TerminalDriver if driver is LinuxDriver else driver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line of every widget passes before it is drawn."""
        return [*super().get_line_filters(), self._own_filter]

    @cached_property
    def _own_filter(self) -> FilterChain:
        """One and the same, or Textual would filter lines that have not changed once more."""
        return FilterChain(
            ControlCharacterFilter(),
            *([AsciiFilter()] if self.ascii else []),
            *([SixteenColorsFilter()] if self.few_colors else []),
        )

    def action_suspend_process(self) -> None:
        """Suspend until fg; say so where no shell could resume the app."""
        if self._driver is not None and not self._driver.can_suspend:
            self.notify("No shell waits for this app, so nothing could resume it", timeout=4)
        super().action_suspend_process()

    def action_toggle_theme(self) -> None:
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"
        for widget in self.query("*"):
            widget.refresh()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Write an update to the terminal, without the cells that did not change."""
        super()._display(screen, only_changed(renderable))
