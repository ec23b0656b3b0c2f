"""The exact numbers at the crosshair, and the line that shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tinygpt import formatting, smoothing
from tinygpt_tui.monitor.history import History
from tinygpt_tui.render.cells import Row, Span, row, width
from tinygpt_tui.train.curves import COLUMNS, LOSSES, train_x
from tinygpt_tui.train.state import SHORT, Options, Quantity, TrainState
from tinygpt_tui.train.texts import digits, title


class Values(NamedTuple):
    """One variant's numbers at the crosshair; NaN where there is none."""

    step: int
    value: float
    """What the train record of this step says."""
    average: float
    """Its exponential average up to this step."""
    val: float
    """Validation loss of the last evaluation up to this step."""
    val_step: int
    """The step of that evaluation."""


def values_at_crosshair(
    history: History, options: Options, quantity: Quantity = "loss"
) -> Mapping[str, Values]:
    """Each variant's numbers at the record nearest to the crosshair."""
    assert options.cursor is not None
    values = {}
    for name, variant in history.variants.items():
        x = train_x(variant, options.x_axis)
        if not len(x):
            continue
        place = int(np.argmin(np.abs(x - options.cursor)))
        step, column = int(variant.step.values[place]), COLUMNS[quantity]
        value = float(getattr(variant, column).values[place])
        average = float(variant.average(column, options.span)[place])
        known = [(r.val_loss, r.step) for r in variant.evaluations if r.step <= step]
        values[name] = Values(step, value, average, *(known[-1] if known else (np.nan, 0)))
    return values


def crosshair_line(state: TrainState, columns: int) -> Row:
    """Each variant's losses at the crosshair, and what the chart on the right shows there: as much
    as fits. A validation loss has the step at which it was measured."""
    values = values_at_crosshair(state.history, state.options)
    right = state.options.shown[-1]
    others: Mapping[str, Values] = {}
    if right in COLUMNS and right not in LOSSES:
        others = values_at_crosshair(state.history, state.options, right)
    line: Row = ()
    for train_text in (_long, _medium, _short, _shortest):
        line = _line(values, lambda name: train_text(state.options, values[name], others.get(name)))  # noqa: B023 - called at once
        if width(line) <= columns:
            break
    return line


def _long(options: Options, values: Values, other: Values | None) -> str:
    batch = f"batch {digits(values.value, 3)} " if options.span > 1 else ""
    average = f"{smoothing.name(options.span)} {digits(values.average, 3)}"
    return batch + average + _other(options, other)


def _medium(options: Options, values: Values, other: Values | None) -> str:
    return _short(options, values, other) + _other(options, other)


def _short(_: Options, values: Values, __: Values | None) -> str:
    return f"train {digits(values.average, 3)}"


def _shortest(_: Options, values: Values, __: Values | None) -> str:
    return digits(values.average, 2)


def _other(options: Options, values: Values | None) -> str:
    """What the chart on the right shows, if that is no loss."""
    if values is None:
        return ""
    quantity = options.shown[-1]
    if quantity == "tokens/s":
        return f" {SHORT[quantity]} {formatting.count(values.average)}"
    value = values.value if quantity == "learning rate" else values.average
    return f" {SHORT[quantity]} {value:.3g}"


def _line(values: Mapping[str, Values], train_text: Callable[[str], str]) -> Row:
    """The step, once if all variants are at the same, and each variant's numbers."""
    parts: list[Span | str] = []
    steps = {v.step for v in values.values()}
    for name, v in values.items():
        if parts:
            parts.append(Span(" │ ", "muted"))
        if len(steps) > 1 or not parts:
            parts.append(Span(f"step {v.step:,}  ", "muted"))
        measured = f" @ {v.val_step:,}" if v.val_step else ""
        parts += [
            Span(f"{title(name)} ", f"{name}.bold"),
            Span(f"{train_text(name)} ", "text"),
            Span(f"val {digits(v.val, 4)}", "strong"),
            Span(measured, "muted"),
        ]
    return row(*parts)
