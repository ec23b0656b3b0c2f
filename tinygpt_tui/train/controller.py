"""How keys, clicks and updates of the run change the state of the Train tab, without widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tinygpt.run import RunState
from tinygpt_tui.monitor.gpu_readings import GpuReadings
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.monitor.seed_spread import SeedSpread
from tinygpt_tui.train.curves import full_range, latest_x, train_x
from tinygpt_tui.train.layout import layout_of
from tinygpt_tui.train.state import Options, TrainState

Y_LABEL_COLUMNS = 7
"""Approximate width of a chart's y labels, to find the x under a click."""


class TrainController:
    """Holds the state of the tab; each method replaces it by a changed one."""

    def __init__(self, *, ascii: bool = False) -> None:
        self.state = TrainState(History(), ascii=ascii)

    @property
    def options(self) -> Options:
        """How the charts are drawn."""
        return self.state.options

    def update(self, **changes: Any) -> None:
        """Replace fields of the state."""
        self.state = replace(self.state, **changes)

    def open(
        self, history: History, minutes: float | None = None, seeds: SeedSpread | None = None
    ) -> None:
        """Show another run; chart options and overlays stay."""
        self.update(
            history=history,
            readings=GpuReadings(),
            options=replace(self.options, window=None, cursor=None),
            minutes=minutes,
            seeds=seeds,
            run_state=None,
            error=None,
            note=None,
        )

    def update_status(self, run_state: RunState | None, machine: Machine | None) -> bool:
        """Show the state of the run and the machine's load, None for unchanged; returns whether the
        run has changed its state."""
        before = self.state.run_state
        if machine and (known := run_state or before) and known.active:
            self.state.readings.add(machine, self.state.history)
        self.update(
            run_state=run_state or before,
            machine=machine or self.state.machine,
        )
        return run_state is not None and (before is None or run_state.state != before.state)

    def change_options(self, change: Callable[[Options], Options]) -> None:
        """Replace the chart options by the result of `change`."""
        self.update(options=change(self.options))

    def _set_options(self, **changes: Any) -> None:
        self.update(options=replace(self.options, **changes))

    def cycle_chart(self, columns: int, lines: int) -> None:
        """Show the next quantity in the chart on the right, or in the only one if a tab of this
        size has room for one."""
        gpu = bool(self.state.readings.values)
        both = replace(self.state, options=replace(self.options, charts="both"))
        if len(layout_of(both, columns, lines).charts) == 1:
            self.change_options(lambda o: o.next_single(gpu=gpu))
        else:
            self.change_options(lambda o: o.next_right(gpu=gpu))

    def zoom(self, by: int) -> None:
        """Zoom by a factor of 2**`by`."""
        latest = latest_x(self.state.history, self.options.x_axis)
        self.change_options(lambda o: o.zoomed(by, self._full_range(), latest))

    def show_all(self) -> None:
        """Show the whole run and scroll along with new records."""
        self._set_options(window=None, cursor=None)

    def toggle_crosshair(self) -> None:
        """Turn the crosshair on at the latest visible record, if there is one, or off."""
        cursor = None
        if self.options.cursor is None and self.state.history.variants:
            cursor = latest_x(self.state.history, self.options.x_axis)
            if self.options.window:
                cursor = min(cursor, self.options.window[1])
        self._set_options(cursor=cursor)

    def move(self, by: int, columns: int) -> None:
        """Move the crosshair, or pan without one; the tab is `columns` wide."""
        if self.options.cursor is None:
            self.change_options(lambda o: o.panned(by, self._full_range()))
        else:
            self._move_crosshair(self.options.cursor, by, columns)

    def _move_crosshair(self, cursor: float, by: int, columns: int) -> None:
        """Move it by a record where records are sparse, by a column where they are dense."""
        options, full = self.options, self._full_range()
        low, high = options.window or full
        column = (high - low) / max(1, columns // 2)
        known = [train_x(v, options.x_axis) for v in self.state.history.variants.values()]
        spacing = [(x[-1] - x[0]) / (len(x) - 1) for x in known if len(x) > 1]
        record = float(min(spacing, default=0.0))
        self._set_options(cursor=min(max(cursor + by * max(column / 2, record), low), high))

    def click(self, x: int, y: int, columns: int, lines: int) -> bool:
        """Put the crosshair at a clicked cell; returns False if there is no chart.

        Approximate: the width of the y labels varies.
        """
        layout = layout_of(self.state, columns, lines)
        low, high = self.options.window or self._full_range()
        left = 0
        for _, width, height in layout.charts:
            if left <= x < left + width and y < height:
                share = (x - left - Y_LABEL_COLUMNS) / max(1, width - Y_LABEL_COLUMNS - 1)
                self._set_options(cursor=low + min(max(share, 0.0), 1.0) * (high - low))
                return True
            left += 0 if layout.stacked else width + 1
        return False

    def _full_range(self) -> tuple[float, float]:
        return full_range(self.state.history, self.options.x_axis, self.state.overlays)
