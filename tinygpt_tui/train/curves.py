"""The curves of a chart from a run's history: units of x, smoothing, down-sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tinygpt.run.columns import Floats
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.curves import Curve
from tinygpt_tui.render.downsample import extremes, trailing_means
from tinygpt_tui.train.state import Options, XAxis

Quantity: TypeAlias = Literal["loss", "perplexity"]


def curves(
    history: History,
    options: Options,
    quantity: Quantity,
    *,
    x_range: tuple[float, float],
    columns: int,
    overlays: Sequence[Overlay] = (),
) -> list[Curve]:
    """The curves of a chart that is `columns` wide: those of overlays first, then raw, smoothed
    and validation losses of each variant, the best of these marked."""
    drawn = [
        curve
        for overlay in overlays
        for curve in _overlay_curves(overlay, options, x_range, columns)
    ]
    for name, variant in history.variants.items():
        if name in options.hidden or not len(variant.step.values):
            continue
        if "train" not in options.hidden:
            drawn += _train(name, variant, options, x_range, columns)
        if "val" not in options.hidden:
            x, y, best = _evaluations(variant, options.x_axis)
            drawn.append(Curve(f"{name} val", f"{name}.bold", x, y, "bold", best))
    return [_as_quantity(curve, quantity) for curve in drawn]


def full_range(
    history: History, axis: XAxis, overlays: Sequence[Overlay] = ()
) -> tuple[float, float]:
    """The first and the latest x of any variant and overlay, with some room on the right until the
    run ends."""
    extents = [extent for o in overlays if (extent := _extent(o.history, axis))]
    if own := _extent(history, axis):
        extents.append(own if history.end else (own[0], _with_room(*own)))
    if not extents:
        return 0.0, 1.0
    return min(low for low, _ in extents), max(high for _, high in extents)


def _extent(history: History, axis: XAxis) -> tuple[float, float] | None:
    """The first and the latest x of any variant; None without records."""
    known = [x for variant in history.variants.values() if len(x := train_x(variant, axis))]
    return (min(float(x[0]) for x in known), max(float(x[-1]) for x in known)) if known else None


def latest_x(history: History, axis: XAxis) -> float:
    """The latest x of any variant; 0 without records."""
    ends = (train_x(variant, axis) for variant in history.variants.values())
    return max((float(x[-1]) for x in ends if len(x)), default=0.0)


def train_x(variant: VariantHistory, axis: XAxis) -> Floats:
    """The x of each train record."""
    if axis == "time":
        return variant.seconds.values
    steps, last = variant.step.values, variant.last
    if axis == "steps" or last is None or not last.step:
        return steps
    return steps * ((last.tokens if axis == "tokens" else last.epoch) / last.step)


def evaluation_x(variant: VariantHistory, axis: XAxis) -> Floats:
    """The x of each evaluation."""
    key = {"steps": "step", "epochs": "epoch", "tokens": "tokens", "time": "train_seconds"}[axis]
    return np.array([getattr(record, key) for record in variant.evaluations], np.float64)


def averages(variant: VariantHistory, at: Floats, window: int) -> Floats:
    """Trailing mean of the finite losses over `window` records, at the record indices `at`."""
    sums, counts = variant.loss_sum.values, variant.loss_count.values
    return trailing_means(sums, counts, window, at.astype(np.intp))


def typical_range(
    drawn: Sequence[Curve], x_range: tuple[float, float]
) -> tuple[float, float] | None:
    """The range of y that contains the curves for 95 % of the x range; None without two points.

    A run starts with a steep drop that takes up most of the range of y but little of the time; what
    matters comes later. Some room above shows where the drop comes from. Both limits are round
    numbers, so that they rarely change while data arrive.
    """
    tops, lows = [], []
    for curve in drawn:
        known = np.isfinite(curve.y)
        if np.count_nonzero(known) < 2:
            continue
        x, y = curve.x[known], curve.y[known]
        inside = np.interp(np.linspace(max(x_range[0], x[0]), min(x_range[1], x[-1]), 200), x, y)
        if curve.weight == "faint":
            lows.append(float(np.quantile(inside, 0.02)))
        else:
            tops.append(float(np.quantile(inside, 0.95)))
            lows.append(float(inside.min()))
    if not tops or max(tops) <= min(lows):
        return None
    span = max(tops) - min(lows)
    step = _round_step(span)
    top = math.ceil((max(tops) + 0.1 * span) / step) * step
    return math.floor(min(lows) / step) * step, top


def _with_room(low: float, high: float) -> float:
    """A round limit slightly above `high`: it rarely changes while records arrive, so that most
    frames differ from the previous one in a few cells only."""
    step = _round_step(max(high - low, 1e-9)) / 2
    return math.ceil(high / step) * step


def _round_step(span: float) -> float:
    """A round fraction of the span, between 1/40 and 1/10."""
    power = 10.0 ** math.floor(math.log10(span))
    return power / 10 if span < 3 * power else power / 4


class Values(NamedTuple):
    """One variant's numbers at the crosshair; NaN where there is none."""

    step: int
    raw: float
    """Train loss of this step."""
    mean: float
    """Moving average of the train loss."""
    val: float
    """Validation loss of the last evaluation up to this step."""


def values_at_crosshair(history: History, options: Options) -> Mapping[str, Values]:
    """Each variant's numbers at the record nearest to the crosshair."""
    assert options.cursor is not None
    values = {}
    for name, variant in history.variants.items():
        x = train_x(variant, options.x_axis)
        if not len(x):
            continue
        place = int(np.argmin(np.abs(x - options.cursor)))
        mean = averages(variant, np.array([place], np.float64), options.average)[0]
        step = int(variant.step.values[place])
        known = [r.val_loss for r in variant.evaluations if r.step <= step]
        loss = float(variant.loss.values[place])
        values[name] = Values(step, loss, float(mean), known[-1] if known else np.nan)
    return values


def _train(
    name: str, variant: VariantHistory, options: Options, x_range: tuple[float, float], columns: int
) -> Iterator[Curve]:
    """The raw losses, faint, and their moving average on top."""
    x, y = train_x(variant, options.x_axis), variant.loss.values
    if options.average == 1:
        yield Curve(f"{name} train", name, *extremes(x, y, columns * 2, *x_range), "line")
        return
    yield Curve(f"{name} raw", f"{name}.faint", *extremes(x, y, columns * 2, *x_range), "faint")
    yield Curve(f"{name} train", name, *_smoothed(variant, options, x_range, columns), "line")


def _smoothed(
    variant: VariantHistory, options: Options, x_range: tuple[float, float], columns: int
) -> tuple[Floats, Floats]:
    """x and the moving average of the train losses."""
    x = train_x(variant, options.x_axis)
    first, last = np.searchsorted(x, x_range)
    count = min(columns * 2, max(1, int(last - first) + 1))
    at = np.unique(np.linspace(max(0, first - 1), min(last, len(x) - 1), count).astype(np.int64))
    return x[at], averages(variant, at.astype(np.float64), options.average)


def _evaluations(variant: VariantHistory, axis: XAxis) -> tuple[Floats, Floats, int | None]:
    """x and validation losses of the evaluations, and the index of the best one."""
    y = np.array([r.val_loss for r in variant.evaluations], np.float64)
    return evaluation_x(variant, axis), y, int(np.argmin(y)) if len(y) else None


def _overlay_curves(
    overlay: Overlay, options: Options, x_range: tuple[float, float], columns: int
) -> Iterator[Curve]:
    """Another run's validation curves, MoE's dashed; while these are hidden or there are none, its
    smoothed train curves. All of them at once would clutter the chart."""
    for name, variant in overlay.history.variants.items():
        if name in options.hidden:
            continue
        if variant.evaluations and "val" not in options.hidden:
            x, y, mark = _evaluations(variant, options.x_axis)
        elif len(variant.step.values) and "train" not in options.hidden:
            x, y = _smoothed(variant, options, x_range, columns)
            mark = len(y) - 1
        else:
            continue
        curve = Curve(overlay.name, overlay.style, x, y, "line", mark)
        yield replace(curve, marker=str(overlay.number), dashed=name == "moe")


def _as_quantity(curve: Curve, quantity: Quantity) -> Curve:
    if quantity == "loss":
        return curve
    y = np.exp(np.minimum(curve.y, 50.0))  # avoids overflow
    return replace(curve, y=y)
