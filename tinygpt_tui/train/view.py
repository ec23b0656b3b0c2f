"""The Train tab as rows of cells: a pure function of its state and size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygpt import formatting
from tinygpt_tui.keymap import CHARTS
from tinygpt_tui.monitor.overlays import tokens_differ
from tinygpt_tui.render.cells import Row, Span, beside, fit, row
from tinygpt_tui.render.curves import View, chart
from tinygpt_tui.render.downsample import time_ticks
from tinygpt_tui.render.panel import rule
from tinygpt_tui.train.curves import (
    LOSSES,
    all_hidden,
    curves,
    full_range,
    typical_range,
)
from tinygpt_tui.train.layout import Layout, layout_of
from tinygpt_tui.train.lower_panels import lower_rows
from tinygpt_tui.train.machine_line import machine_line
from tinygpt_tui.train.overlay_table import overlay_rows
from tinygpt_tui.train.state import SHORT, Options, Quantity, TrainState, XAxis
from tinygpt_tui.train.status_line import status_line
from tinygpt_tui.train.variant_table import table_rows

X_LABELS = {"steps": "step", "epochs": "epoch", "tokens": "tokens", "time": "training time"}
SHORT_TITLES = 50
"""Columns of a chart below which its title is short."""
_RULE = 2
"""Columns that a rule needs besides a title whose leading space it takes."""


def tab(
    state: TrainState, columns: int, lines: int, draw: Callable[..., list[Row]] = chart
) -> list[Row]:
    """Exactly `lines` rows of `columns`; `draw` may replace `chart`, to cache charts."""
    layout = layout_of(state, columns, lines)
    rows = charts(state, layout, draw)
    if layout.status:
        rows.append(status_rule(state, columns))
    if layout.table:
        rows += table_rows(state, columns)[: layout.table]
    if layout.overlays:
        rows += overlay_rows(state, columns)
    if layout.bottom:
        rows += lower_rows(state, columns, layout.bottom)
    if layout.machine:
        rows.append(fit(machine_line(state), columns))
    return [fit(cells, columns) for cells in [*rows, *[()] * lines][:lines]]


def status_rule(state: TrainState, columns: int) -> Row:
    """The status as the title of the rule between charts and table."""
    first, *others = status_line(state, columns - _RULE) or (Span("", "text"),)
    return rule(row(Span(first.text.lstrip(), first.style), *others), columns)


def charts(state: TrainState, layout: Layout, draw: Callable[..., list[Row]] = chart) -> list[Row]:
    """One chart, or both side by side or stacked."""
    options = state.options
    x_range = options.window or full_range(state.history, options.x_axis, state.overlays)
    blocks = [_chart(state, place, x_range, draw) for place in layout.charts]
    if layout.stacked:
        return [cells for block in blocks for cells in block]
    return beside(blocks, gap=1)


def _chart(
    state: TrainState,
    place: tuple[Quantity, int, int],
    x_range: tuple[float, float],
    draw: Callable[..., list[Row]],
) -> list[Row]:
    options, (quantity, columns, lines) = state.options, place
    drawn = curves(
        state.history,
        options,
        quantity,
        x_range=x_range,
        columns=columns,
        overlays=state.overlays,
        readings=state.readings,
    )
    low, high = _y_range(options, quantity, typical_range(drawn, x_range))
    return draw(
        drawn,
        View(*x_range, low, high, options.log_y and quantity != "GPU"),
        columns,
        lines,
        title=_chart_title(state, quantity, columns),
        x_label=X_LABELS[options.x_axis],
        empty=_why_empty(state, quantity),
        ascii=state.ascii,
        cursor=options.cursor,
        **_x_style(options.x_axis),
    )


def _y_range(
    options: Options, quantity: Quantity, typical: tuple[float, float] | None
) -> tuple[float | None, float | None]:
    """The limits of y; None for what the curves need."""
    if quantity == "GPU":
        return 0.0, 100.0
    if options.full_y_range or quantity not in (*LOSSES, "gradient norm"):
        return None, None
    return typical or (None, None)


def _chart_title(state: TrainState, quantity: Quantity, columns: int) -> str:
    if quantity == "GPU":
        several = any(len(reading.load) > 1 for reading in state.readings.values[-1:])
        return "GPU % (memory dashed)" if several else "GPU %"
    if quantity == "loss" and tokens_differ(state.history, state.overlays):
        return "bits/byte" if columns < SHORT_TITLES else "bits per byte"
    return SHORT[quantity] if columns < SHORT_TITLES else quantity


def _why_empty(state: TrainState, quantity: Quantity) -> str:
    """What is said in place of curves; of hidden ones, which key shows them."""
    if quantity == "GPU":
        return "readings begin with this visit"
    keys = {key.action: key.text for key in CHARTS}
    if all_hidden(state.history, state.options):
        return f"All curves hidden: {keys['models']} shows both models"
    if "train" in state.options.hidden and state.history.variants and quantity in LOSSES:
        return f"No evaluation yet: {keys['curves']} shows the train curves"
    return "no data yet"


def _x_style(axis: XAxis) -> dict[str, Any]:
    """How x is labelled, if it is not a plain number."""
    if axis == "time":
        return {"x_text": formatting.duration, "x_ticks": time_ticks}
    return {}
