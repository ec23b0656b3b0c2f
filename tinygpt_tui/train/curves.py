"""From a run's history to the curves of a chart: units of x, stretch, smoothing, down-sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinygpt.run.columns import Floats
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.curves import Curve
from tinygpt_tui.render.downsample import extremes, trailing_means
from tinygpt_tui.train.options import Options, XAxis

Quantity = str
"""loss or perplexity."""


def curves(
    history: History,
    options: Options,
    quantity: Quantity,
    *,
    stretch: tuple[float, float],
    columns: int,
    overlays: Sequence[Overlay] = (),
) -> list[Curve]:
    """What a chart of `columns` shows: overlays, then faint, then smooth, then validation."""
    found = [curve for overlay in overlays for curve in _overlaid(overlay, options)]
    for name, variant in history.variants.items():
        if name in options.hidden or not len(variant.step.values):
            continue
        if "train" not in options.hidden:
            found += _train(name, variant, options, stretch, columns)
        if "val" not in options.hidden:
            x = evaluation_x(variant, options.x_axis)
            y = np.array([r.val_loss for r in variant.evaluations], np.float64)
            found.append(Curve(f"{name} val", f"{name}.bold", x, y, "bold"))
    return [_as_quantity(curve, quantity) for curve in found]


def whole_stretch(history: History, axis: XAxis) -> tuple[float, float]:
    """From the first to the newest x of any variant, with some room while the run goes on."""
    lows, highs = [], []
    for variant in history.variants.values():
        x = train_x(variant, axis)
        if len(x):
            lows.append(float(x[0]))
            highs.append(float(x[-1]))
    if not lows:
        return 0.0, 1.0
    low, high = min(lows), max(highs)
    return low, high if history.end else settled(high, low)


def newest_x(history: History, axis: XAxis) -> float:
    """The newest x of any variant; 0 without one."""
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
    """The trailing mean of the finite losses over `window` records, at the records `at`."""
    sums, counts = variant.loss_sum.values, variant.loss_count.values
    return trailing_means(sums, counts, window, at.astype(np.intp))


def typical_range(
    found: Sequence[Curve], stretch: tuple[float, float]
) -> tuple[float, float] | None:
    """The range of y in which the curves are for all but a twentieth of the stretch.

    A run starts with a steep fall that takes most of the range and little of the time; what one
    looks at comes after. Some room is left above, so that the fall is seen to come from there. Both
    ends are round, so that they stay where they are while data arrive.
    """
    tops, lows = [], []
    for curve in found:
        known = np.isfinite(curve.y)
        if np.count_nonzero(known) < 2:
            continue
        x, y = curve.x[known], curve.y[known]
        inside = np.interp(np.linspace(max(stretch[0], x[0]), min(stretch[1], x[-1]), 200), x, y)
        if curve.weight == "faint":
            lows.append(float(np.quantile(inside, 0.02)))
        else:
            tops.append(float(np.quantile(inside, 0.95)))
            lows.append(float(inside.min()))
    if not tops or max(tops) <= min(lows):
        return None
    span = max(tops) - min(lows)
    step = _grain(span)
    top = math.ceil((max(tops) + 0.1 * span) / step) * step
    return math.floor(min(lows) / step) * step, top


def settled(high: float, low: float) -> float:
    """The end of x a little past the newest, and round: it moves in jerks instead of always, and
    between two of them a frame differs from the last by a few cells."""
    step = _grain(max(high - low, 1e-9)) / 2
    return math.ceil(high / step) * step


def _grain(span: float) -> float:
    """A round part of the span: a tenth to a twelfth."""
    power = 10.0 ** math.floor(math.log10(span))
    return power / 10 if span < 3 * power else power / 4


def readout(history: History, options: Options) -> Mapping[str, tuple[int, float, float, float]]:
    """Each variant's step, raw loss, averaged loss and last validation loss at the crosshair."""
    assert options.cursor is not None
    found = {}
    for name, variant in history.variants.items():
        x = train_x(variant, options.x_axis)
        if not len(x):
            continue
        place = int(np.argmin(np.abs(x - options.cursor)))
        mean = averages(variant, np.array([place], np.float64), options.average)[0]
        step = int(variant.step.values[place])
        known = [r.val_loss for r in variant.evaluations if r.step <= step]
        loss = float(variant.loss.values[place])
        found[name] = (step, loss, float(mean), known[-1] if known else np.nan)
    return found


def _train(
    name: str, variant: VariantHistory, options: Options, stretch: tuple[float, float], columns: int
) -> Iterator[Curve]:
    """The raw losses, faint, and their moving average over them."""
    x, y = train_x(variant, options.x_axis), variant.loss.values
    if options.average == 1:
        yield Curve(f"{name} train", name, *extremes(x, y, columns * 2, *stretch), "line")
        return
    yield Curve(f"{name} raw", f"{name}.faint", *extremes(x, y, columns * 2, *stretch), "faint")
    first, last = np.searchsorted(x, stretch)
    count = min(columns * 2, max(1, int(last - first) + 1))
    at = np.unique(np.linspace(max(0, first - 1), min(last, len(x) - 1), count).astype(np.int64))
    smooth = averages(variant, at.astype(np.float64), options.average)
    yield Curve(f"{name} train", name, x[at], smooth, "line")


def _overlaid(overlay: Overlay, options: Options) -> Iterator[Curve]:
    """Another run: its validation curves alone, or two runs would be a tangle."""
    for name, variant in overlay.history.variants.items():
        if name not in options.hidden and variant.evaluations:
            y = np.array([r.val_loss for r in variant.evaluations], np.float64)
            x = evaluation_x(variant, options.x_axis)
            yield Curve(f"{overlay.name} {name}", overlay.style, x, y, "line")


def _as_quantity(curve: Curve, quantity: Quantity) -> Curve:
    if quantity == "loss":
        return curve
    y = np.exp(np.minimum(curve.y, 50.0))  # beyond, the number says nothing any more
    return Curve(curve.name, curve.style, curve.x, y, curve.weight)
