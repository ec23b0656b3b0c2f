"""The real app, driven by keys, without a terminal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from tests.helpers.waiting import PATIENCE
from tinygpt_tui.app import LabApp
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.start import Start
from tinygpt_tui.widgets.cell_view import CellView

Body = Callable[[LabApp, "Pilot[int]"], Awaitable[None]]


def drive(out: Path, body: Body, size: tuple[int, int] = (120, 36), **options: Any) -> None:
    """Run the app on the runs in `out`, and `body` in it once a run or the start screen is open;
    `options` are those of the app."""

    async def go() -> None:
        app = LabApp(out, **options)
        async with app.run_test(size=size) as pilot:
            await until(
                pilot, lambda: app.run_path is not None or app.train.query_one(Start).display
            )
            await body(app, pilot)
            if app.current_run.follower:
                app.current_run.follower.stop()

    asyncio.run(go())


async def until(pilot: "Pilot[int]", condition: Callable[[], bool]) -> None:
    """Let the app run until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)
        if pilot.app._exception is not None:
            raise pilot.app._exception


def lines(app: LabApp, name: str) -> str:
    """The text of the header or the footer."""
    return "\n".join(plain(app.query_one(f"#{name}", CellView).rows))


def screen_text(app: LabApp) -> str:
    """The text of the Train tab."""
    return "\n".join(plain(app.train._view.rows))


async def opened(app: LabApp, pilot: "Pilot[int]", step: int = 30) -> None:
    """Wait until the open run has been read up to `step`."""
    await until(pilot, lambda: app.history.step >= step and app.state is not None)


def asks(app: LabApp, text: str) -> bool:
    """Whether the open dialog asks this."""
    shown = app.screen.query(".question").results(Static)
    return any(text in str(question.render()) for question in shown)
