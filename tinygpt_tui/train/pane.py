"""The Train tab's widget: passes keys and updates to the controller, and schedules frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer

from tinygpt.run import RunState
from tinygpt_tui.keymap import CHARTS
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.monitor.seed_spread import SeedSpread
from tinygpt_tui.render.cells import Row
from tinygpt_tui.render.curves import chart
from tinygpt_tui.screens.start import Start
from tinygpt_tui.train.controller import TrainController
from tinygpt_tui.train.state import Options, TrainState
from tinygpt_tui.train.view import tab
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

KEY_FRAME = 0.05
"""Seconds between two frames after keys: a single key has an effect at once, a held one draws at
20 frames/s."""
LIVE_FRAME = 1.0
"""Seconds between two frames for new records alone: a curve of thousands of points moves by
less than a cell, and each frame costs the trainer CPU time and a remote terminal bandwidth."""


class TrainPane(Container):
    """Charts, numbers and samples of the open run; without a run, the start screen."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHARTS)
    DEFAULT_CSS = """
    TrainPane { height: 1fr; }
    TrainPane CellView { height: 1fr; }
    TrainPane Start { height: 1fr; }
    """
    can_focus = True

    def __init__(self, *, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.controller = TrainController(ascii=ascii)
        self._view = CellView()
        self._charts: dict[tuple[str, int], tuple[Any, list[Row]]] = {}
        self._timer: Timer | None = None
        self._drawn_at = 0.0
        self._charts_drawn = self._charts_postponed = 0
        self.frames = 0
        """Frames drawn so far."""

    @property
    def state(self) -> TrainState:
        """What the tab shows."""
        return self.controller.state

    def compose(self) -> ComposeResult:
        yield Start(id="start")
        yield self._view

    def on_mount(self) -> None:
        self._view.display = False

    def open(
        self, *, history: History, minutes: float | None, seeds: SeedSpread | None = None
    ) -> None:
        """Show this run from now on; `minutes` is its time limit, `seeds` what the study found for
        such runs."""
        self._switch(history, minutes, seeds)
        self.query_one(Start).display = False
        self._view.display = True
        if self.display:
            self.focus()
        self.call_after_refresh(self.schedule, soon=True)  # the view has no size before

    def show_start(self) -> None:
        """Show the start screen: there is no run."""
        self._switch(History())
        start = self.query_one(Start)
        start.display = True
        start.describe()
        self._view.display = False
        if self.display:
            start.focus()

    def _switch(
        self, history: History, minutes: float | None = None, seeds: SeedSpread | None = None
    ) -> None:
        self.controller.open(history, minutes, seeds)
        self._charts.clear()

    def update_state(self, *, soon: bool = False, **changes: Any) -> None:
        """Replace fields of the state; shown with the next frame, or at once if `soon`."""
        self.controller.update(**changes)
        self.schedule(soon=soon)

    def update_status(self, run_state: RunState | None, machine: Machine | None) -> None:
        """Show the state of the run and the machine's load, None for unchanged."""
        self.schedule(soon=self.controller.update_status(run_state, machine))

    def overlay(self, overlays: Sequence[Overlay]) -> None:
        """Overlay other runs on the charts."""
        self._charts.clear()
        self.update_state(soon=True, overlays=tuple(overlays))

    # -- drawing --------------------------------------------------------------------------------

    def schedule(self, *, soon: bool = False) -> None:
        """Draw within a second, or at once if `soon`; not while hidden."""
        if not self.is_on_screen or not self._view.display:
            return
        if self._timer is not None:
            if not soon:
                return
            self._timer.stop()
        wait = (KEY_FRAME if soon else LIVE_FRAME) - (time.monotonic() - self._drawn_at)
        if wait <= 0 and soon:
            self._draw()
        else:
            self._timer = self.set_timer(max(wait, 0.01), self._draw)

    def on_show(self) -> None:
        self.schedule(soon=True)

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        size = self._view.size
        if not size.width or not size.height or not self._view.display:
            return
        self._drawn_at = time.monotonic()
        self.frames += 1
        self._charts_drawn = self._charts_postponed = 0
        self._view.show(tab(self.state, size.width, size.height, self._cached_chart))
        if self._charts_postponed:
            self.call_after_refresh(self._draw)

    def _cached_chart(
        self, curves: Any, view: Any, width: int, height: int, **how: Any
    ) -> list[Row]:
        """The rows of a chart, redrawn only if an input changed.

        At most one chart is redrawn per frame, so that a key takes effect sooner; the other follows
        in the next frame.
        """
        key = (how["title"], width)
        shown = self.state.history.version, self.state.readings.version if "GPU" in key[0] else 0
        inputs = (shown, self.state.options, view, height, len(curves))
        cached = self._charts.get(key)
        stale = cached is None or cached[0] != inputs
        if cached is not None and stale and self._charts_drawn and len(cached[1]) == height:
            self._charts_postponed += 1
        elif cached is None or stale:
            self._charts_drawn += 1
            self._charts[key] = cached = (inputs, chart(curves, view, width, height, **how))
        return cached[1]

    # -- keys and mouse -------------------------------------------------------------------------

    def _change_options(self, change: Callable[[Options], Options]) -> None:
        self.controller.change_options(change)
        self.schedule(soon=True)

    def action_cycle_x(self) -> None:
        self._change_options(Options.next_x)

    def action_toggle_log(self) -> None:
        self._change_options(Options.toggled_log)

    def action_toggle_range(self) -> None:
        self._change_options(Options.toggled_range)

    def action_cycle_chart(self) -> None:
        self.controller.cycle_chart(self._view.size.width, self._view.size.height)
        self.schedule(soon=True)

    def action_single_chart(self) -> None:
        self._change_options(Options.next_charts)

    def action_smooth(self, by: int) -> None:
        self._change_options(lambda options: options.smoothed(by))

    def action_models(self) -> None:
        self._change_options(Options.next_models)

    def action_curves(self) -> None:
        self._change_options(Options.next_curves)

    def action_zoom(self, by: int) -> None:
        self.controller.zoom(by)
        self.schedule(soon=True)

    def action_move(self, by: int) -> None:
        self.controller.move(by, self._view.size.width)
        self.schedule(soon=True)

    def action_follow(self) -> None:
        self.controller.show_all()
        self.schedule(soon=True)

    def action_crosshair(self) -> None:
        self.controller.toggle_crosshair()
        self.schedule(soon=True)

    def action_leave_crosshair(self) -> None:
        if self.state.options.cursor is not None:
            self.action_crosshair()

    def on_click(self, event: events.Click) -> None:
        size = self._view.size
        if self.controller.click(event.x, event.y, size.width, size.height):
            self.schedule(soon=True)

    def on_mouse_scroll_up(self, _: events.MouseScrollUp) -> None:
        self.action_zoom(1)

    def on_mouse_scroll_down(self, _: events.MouseScrollDown) -> None:
        self.action_zoom(-1)
