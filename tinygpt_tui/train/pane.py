"""The Train tab's widget: keys change options or ask the run for something; the view draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from tinygpt_tui.render.cells import Row
from tinygpt_tui.render.curves import chart
from tinygpt_tui.screens.start import Start
from tinygpt_tui.train.curves import newest_x, train_x, whole_stretch
from tinygpt_tui.train.layout import arrange
from tinygpt_tui.train.options import Options
from tinygpt_tui.train.view import Scene, tab
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

KEY_FRAME = 0.05
"""Seconds between two frames that keys ask for: an answer at once, and one frame for a held key."""
LIVE_FRAME = 1.0
"""Between two frames that only new records ask for: a curve of thousands moves by less than a cell,
and each frame costs the trainer's cores and the user's link."""


class TrainPane(Container):
    """Both charts and all around them; the start screen while there is no run."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHARTS)
    DEFAULT_CSS = """
    TrainPane { height: 1fr; }
    TrainPane CellView { height: 1fr; }
    TrainPane Start { height: 1fr; }
    """
    can_focus = True

    def __init__(self, *, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.scene = Scene(History(), ascii=ascii)
        self._view = CellView()
        self._charts: dict[tuple[str, int], tuple[Any, list[Row]]] = {}
        self._timer: Timer | None = None
        self._drawn = 0.0
        self._fresh = self._owed = 0
        self.frames = 0
        """Frames drawn so far."""

    def compose(self) -> ComposeResult:
        """The start screen and the view; one of them is hidden."""
        yield Start(id="start")
        yield self._view

    def on_mount(self) -> None:
        """Show the start screen until a run is opened."""
        self._view.display = False

    def open(self, *, history: History, minutes: float | None) -> None:
        """Show another run from now on."""
        self._forget(history, minutes=minutes)
        self.query_one(Start).display = False
        self._view.display = True
        if self.display:
            self.focus()
        self.schedule(soon=True)

    def show_start(self) -> None:
        """Offer the presets: there is no run."""
        self._forget(History())
        self.query_one(Start).display = True
        self._view.display = False
        if self.display:
            self.query_one(Start).focus()

    def _forget(self, history: History, minutes: float | None = None) -> None:
        """Keep nothing of the run before but how it was looked at and what lies over it."""
        options = replace(self.scene.options, window=None, cursor=None)
        self.scene = replace(
            self.scene,
            history=history,
            options=options,
            minutes=minutes,
            state=None,
            error=None,
            note=None,
        )
        self._charts.clear()

    def update_scene(self, *, soon: bool = False, **changes: Any) -> None:
        """Take over what is new; drawn at the next frame, or `soon`."""
        self.scene = replace(self.scene, **changes)
        self.schedule(soon=soon)

    def news(self, state: RunState | None, machine: Machine | None) -> None:
        """The run was looked at."""
        changed = state is not None and state != self.scene.state
        was = self.scene.state.state if self.scene.state else None
        self.update_scene(
            soon=changed and state is not None and state.state != was,
            state=state or self.scene.state,
            machine=machine or self.scene.machine,
        )

    def schedule(self, *, soon: bool = False) -> None:
        """Draw within a second, or at once for a key; not while hidden."""
        if not self.is_on_screen or not self._view.display:
            return
        if self._timer is not None:
            if not soon:
                return
            self._timer.stop()
        wait = (KEY_FRAME if soon else LIVE_FRAME) - (time.monotonic() - self._drawn)
        if wait <= 0 and soon:
            self._draw()
        else:
            self._timer = self.set_timer(max(wait, 0.01), self._draw)

    def on_show(self) -> None:
        """Catch up with what came while another tab was shown."""
        self.schedule(soon=True)

    def on_resize(self, _: events.Resize) -> None:
        """Lay the window out anew."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        size = self._view.size
        if not size.width or not size.height or not self._view.display:
            return
        self._drawn = time.monotonic()
        self.frames += 1
        self._fresh = self._owed = 0
        self._view.show(tab(self.scene, size.width, size.height, self._cached_chart))
        if self._owed:
            self.call_after_refresh(self._draw)

    def _cached_chart(
        self, found: Any, view: Any, width: int, height: int, **how: Any
    ) -> list[Row]:
        """The rows of a chart, drawn only if something of it changed.

        One a frame: the second follows in a frame of its own, so that a key has its answer sooner.
        """
        key = (how["title"].split()[0], width)
        inputs = (self.scene.history.version, self.scene.options, view, height, len(found))
        known = self._charts.get(key)
        if known is not None and known[0] != inputs and self._fresh and len(known[1]) == height:
            self._owed += 1
        elif known is None or known[0] != inputs:
            self._fresh += 1
            self._charts[key] = known = (inputs, chart(found, view, width, height, **how))
        return known[1]

    def change_options(self, change: Callable[[Options], Options]) -> None:
        """Set how the charts are looked at, and show it at once."""
        self.update_scene(soon=True, options=change(self.scene.options))

    def action_cycle_x(self) -> None:
        """Steps, epochs, tokens, time."""
        self.change_options(Options.next_x)

    def action_toggle_log(self) -> None:
        """Linear or logarithmic."""
        self.change_options(lambda o: replace(o, log_y=not o.log_y))

    def action_toggle_range(self) -> None:
        """With the first steep fall, or without."""
        self.change_options(lambda o: replace(o, whole_range=not o.whole_range))

    def action_cycle_chart(self) -> None:
        """Both, the loss, the perplexity."""
        self.change_options(Options.next_charts)

    def action_zoom(self, by: int) -> None:
        """In or out."""
        newest = newest_x(self.scene.history, self.scene.options.x_axis)
        self.change_options(lambda o: o.zoomed(by, self._whole(), newest))

    def action_move(self, by: int) -> None:
        """Pan, or move the crosshair by a column's worth."""
        if self.scene.options.cursor is None:
            self.change_options(lambda o: o.panned(by, self._whole()))
        else:
            self._move_cursor(by)

    def action_follow(self) -> None:
        """Everything, and the newest."""
        self.change_options(lambda o: replace(o, window=None, cursor=None))

    def action_crosshair(self) -> None:
        """On at the newest, or off."""
        newest = newest_x(self.scene.history, self.scene.options.x_axis)
        if self.scene.options.window:
            newest = min(newest, self.scene.options.window[1])
        self.change_options(lambda o: replace(o, cursor=newest if o.cursor is None else None))

    def action_smooth(self, by: int) -> None:
        """Average over more or fewer records."""
        self.change_options(lambda o: o.smoothed(by))

    def action_toggle_curve(self, name: str) -> None:
        """Show or hide."""
        self.change_options(lambda o: o.toggled(name))

    def overlay(self, overlays: Sequence[Overlay]) -> None:
        """Lay other runs over the charts."""
        self._charts.clear()
        self.update_scene(soon=True, overlays=tuple(overlays))

    def on_click(self, event: events.Click) -> None:
        """Put the crosshair where the chart was clicked."""
        place = self._place(event.x, event.y)
        if place is not None:
            self.change_options(lambda o: replace(o, cursor=place))

    def on_mouse_scroll_up(self, _: events.MouseScrollUp) -> None:
        """Zoom in."""
        self.action_zoom(1)

    def on_mouse_scroll_down(self, _: events.MouseScrollDown) -> None:
        """Zoom out."""
        self.action_zoom(-1)

    def _whole(self) -> tuple[float, float]:
        return whole_stretch(self.scene.history, self.scene.options.x_axis)

    def _move_cursor(self, by: int) -> None:
        """To a neighbouring record where they are sparse, by a column where they are dense."""
        options, (low, high) = self.scene.options, self.scene.options.window or self._whole()
        assert options.cursor is not None
        column = (high - low) / max(1, self._view.size.width // 2)
        lengths = [len(train_x(v, options.x_axis)) for v in self.scene.history.variants.values()]
        whole = self._whole()
        record = (whole[1] - whole[0]) / max(1, max(lengths, default=1) - 1)
        place = options.cursor + by * max(column / 2, record)
        self.change_options(lambda o: replace(o, cursor=min(max(place, low), high)))

    def _place(self, x: int, y: int) -> float | None:
        """The x of the charts under a cell of this widget; about, as the axis takes some cells."""
        size, options = self._view.size, self.scene.options
        variants = len(self.scene.history.variants)
        layout = arrange(size.width, size.height, options.charts, variants)
        low, high = options.window or self._whole()
        left = 0
        for _, width, height in layout.charts:
            if left <= x < left + width and y < height:
                frame = 7  # cells that the labels of y take
                share = (x - left - frame) / max(1, width - frame - 1)
                return low + min(max(share, 0.0), 1.0) * (high - low)
            left += 0 if layout.stacked else width + 1
        return None
