"""Drives one screen or widget with keys, in an app that contains nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import AwaitMount
from textual.widgets import OptionList, Static

from tests.helpers.waiting import PATIENCE
from tinygpt_tui.screens.start import Start

UNSET = object()
"""The result of a screen that is still open."""


class Host(App[None]):
    """Shows one screen or the start screen, and stores its result."""

    def __init__(self, screen: Screen[Any] | None = None) -> None:
        super().__init__()
        self.shown = screen
        self.result: Any = UNSET

    def compose(self) -> ComposeResult:
        if self.shown is None:
            yield Start()

    def on_mount(self) -> None:
        if self.shown is not None:
            self._show(self.shown)

    async def show_another(self, screen: Screen[Any]) -> None:
        """Show this screen instead, as if the app had just been started with it."""
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        self.clear_notifications()
        self.result = UNSET
        await self._show(screen)

    def _show(self, screen: Screen[Any]) -> AwaitMount:
        return self.push_screen(screen, lambda result: setattr(self, "result", result))

    def on_start_chosen(self, event: Start.Chosen) -> None:
        self.result = event.preset


Script = Callable[[Host, Pilot[None]], Awaitable[None]]


def drive(screen: Screen[Any] | None, script: Script, size: tuple[int, int] = (80, 24)) -> Host:
    """Run the script against the screen; the app afterwards, with its `result`."""
    app = Host(screen)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(run())
    return app


def press(*keys: str) -> Script:
    async def script(_: Host, pilot: Pilot[None]) -> None:
        await pilot.press(*keys)

    return script


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)
        if pilot.app._exception is not None:
            raise pilot.app._exception


def text_of(app: Host, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def rows(app: Host) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]
