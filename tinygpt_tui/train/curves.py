"""The curves of a chart from a run's history: units of x, smoothing, down-sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tinygpt import smoothing
from tinygpt.run.columns import Floats
from tinygpt_tui.monitor.gpu_readings import GpuReadings
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.monitor.overlays import Overlay, tokens_differ
from tinygpt_tui.render.curves import Curve
from tinygpt_tui.render.downsample import extremes
from tinygpt_tui.theme import EXPERTS, NAMES, expert_style
from tinygpt_tui.train.mean_curve import Points, mean_curve
from tinygpt_tui.train.state import Options, Quantity, XAxis

COLUMNS: Mapping[Quantity, str] = {
    "loss": "loss",
    "perplexity": "loss",
    "learning rate": "lr",
    "gradient norm": "grad_norm",
    "tokens/s": "speed",
}
"""The column of a history that a chart shows."""
LOSSES: tuple[Quantity, ...] = ("loss", "perplexity")
"""Quantities that evaluations measure, too."""


class Shown(NamedTuple):
    """What a chart shows of each run."""

    options: Options
    quantity: Quantity
    x_range: tuple[float, float]
    columns: int
    bits: bool = False
    """Whether losses are in bits per byte instead of nats per token."""

    def value(self, variant: VariantHistory, y: Floats) -> Floats:
        """Values of a variant in the unit of the chart."""
        return y * variant.bits_per_byte if self.bits else y

    @property
    def column(self) -> str:
        """The column of a history that it shows."""
        return COLUMNS[self.quantity]

    @property
    def span(self) -> int:
        """The span of averages; the learning rate has no noise to average."""
        return 1 if self.quantity == "learning rate" else self.options.span


def curves(
    history: History,
    options: Options,
    quantity: Quantity,
    *,
    x_range: tuple[float, float],
    columns: int,
    overlays: Sequence[Overlay] = (),
    readings: GpuReadings | None = None,
) -> list[Curve]:
    """The curves of a chart that is `columns` wide: those of overlays first, then of each variant
    the value of every step and its average, and validation losses, the best of these marked."""
    if quantity == "GPU":
        return list(_gpu_curves(history, readings or GpuReadings(), options.x_axis))
    bits = quantity == "loss" and tokens_differ(history, overlays)
    shown = Shown(options, quantity, x_range, columns, bits)
    drawn = [curve for overlay in overlays for curve in _overlay_curves(overlay, shown)]
    for name, variant in history.variants.items():
        if name in options.hidden or not len(variant.step.values):
            continue
        if quantity not in LOSSES or "train" not in options.hidden:
            drawn += _train(name, variant, shown)
        if quantity in LOSSES and "val" not in options.hidden:
            drawn.append(_validation(name, variant, shown))
    return [_as_quantity(curve, quantity) for curve in drawn]


def all_hidden(history: History, options: Options) -> bool:
    """Whether there are variants, and all of them are hidden."""
    variants = {name for name, v in history.variants.items() if len(v.step.values)}
    return bool(variants) and variants <= options.hidden


def full_range(
    history: History, axis: XAxis, overlays: Sequence[Overlay] = ()
) -> tuple[float, float]:
    """The first and the latest x of any variant and overlay, with some room on the right until the
    run ends."""
    runs = [history for overlay in overlays for history in overlay.histories]
    extents = [extent for run in runs if (extent := _extent(run, axis))]
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
    return _from_steps(variant.step.values, variant, axis)


def _from_steps(steps: Floats, variant: VariantHistory, axis: XAxis) -> Floats:
    last = variant.last
    if axis == "steps" or last is None or not last.step:
        return steps
    return steps * ((last.tokens if axis == "tokens" else last.epoch) / last.step)


def evaluation_x(variant: VariantHistory, axis: XAxis) -> Floats:
    """The x of each evaluation."""
    key = {"steps": "step", "epochs": "epoch", "tokens": "tokens", "time": "train_seconds"}[axis]
    return np.array([getattr(record, key) for record in variant.evaluations], np.float64)


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


_ROOMS = (1, 1.2, 1.5, 1.8, 2.2, 2.6, 3.2, 4, 5, 6, 7.5, 9, 12)


def _with_room(low: float, high: float) -> float:
    """A limit above `high` that grows by a fifth at a time: it rarely changes while records arrive,
    so that most frames differ from the previous one in a few cells only."""
    power = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    return low + next(room for n in _ROOMS if (room := n * power) >= high - low)


def _round_step(span: float) -> float:
    """A round fraction of the span, between 1/40 and 1/10."""
    power = 10.0 ** math.floor(math.log10(span))
    return power / 10 if span < 3 * power else power / 4


def _train(name: str, variant: VariantHistory, shown: Shown) -> Iterator[Curve]:
    """The values of all steps, faint, and their exponential average on top."""
    family = NAMES.get(name, name)
    x, y = train_x(variant, shown.options.x_axis), getattr(variant, shown.column).values
    points = extremes(x, shown.value(variant, y), shown.columns * 2, *shown.x_range)
    single, average = _kinds(shown)
    if shown.span == 1:
        yield Curve(" ".join((family, *single)), name, *points, family=family, kinds=single)
        return
    named = f"{family} {single[0]}"
    yield Curve(named, f"{name}.faint", *points, "faint", family=family, kinds=single)
    _, x, y = _smoothed(variant, shown)
    yield Curve(f"{family} {average[0]}", name, x, y, family=family, kinds=average)


def _kinds(shown: Shown) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the values of all steps and their average are called, in shorter and shorter words."""
    average = smoothing.kind(shown.span), "ema"
    if shown.quantity in LOSSES:
        return ("batch",), (smoothing.name(shown.span), *average)
    return () if shown.quantity == "learning rate" else ("per step",), average


def _smoothed(variant: VariantHistory, shown: Shown) -> Points:
    """The exponential average of the values of all steps, where these cross a grid of x that does
    not move while records arrive: else the whole line would change a little with each frame."""
    x = train_x(variant, shown.options.x_axis)
    first, last = np.searchsorted(x, shown.x_range)
    grid = np.linspace(*shown.x_range, shown.columns * 2 + 1)
    at = np.unique(np.clip(np.searchsorted(x, grid), max(0, first - 1), min(last, len(x) - 1)))
    average = variant.average(shown.column, shown.span)
    return Points(variant.step.values[at], x[at], shown.value(variant, average[at]))


def _validation(name: str, variant: VariantHistory, shown: Shown) -> Curve:
    family = NAMES.get(name, name)
    _, x, y = _evaluations(variant, shown)
    best = int(np.argmin(y)) if len(y) else None
    return Curve(f"{family} val", f"{name}.bold", x, y, "bold", best, family=family, kinds=("val",))


def _evaluations(variant: VariantHistory, shown: Shown) -> Points:
    """The validation losses of the evaluations."""
    step = np.array([r.step for r in variant.evaluations], np.float64)
    y = np.array([r.val_loss for r in variant.evaluations], np.float64)
    x = evaluation_x(variant, shown.options.x_axis)
    return Points(step, x, shown.value(variant, y))


def _overlay_curves(overlay: Overlay, shown: Shown) -> Iterator[Curve]:
    """Another run's validation curves, MoE's dashed; while these are hidden or there are none, and
    for other quantities, its averages over steps. All of them at once would clutter the chart.

    Of several runs their mean, between dotted lines one standard deviation above and below.
    """
    options, losses = shown.options, shown.quantity in LOSSES
    for name in dict.fromkeys(name for run in overlay.histories for name in run.variants):
        variants = [run.variants[name] for run in overlay.histories if name in run.variants]
        if name in options.hidden:
            continue
        evaluated = [variant for variant in variants if variant.evaluations]
        trained = [variant for variant in variants if len(variant.step.values)]
        if losses and evaluated and "val" not in options.hidden:
            found = mean_curve([_evaluations(v, shown) for v in evaluated])
            mark = int(np.argmin(found.mean))
        elif trained and not (losses and "train" in options.hidden):
            found = mean_curve([_smoothed(variant, shown) for variant in trained])
            mark = len(found.mean) - 1
        else:
            continue
        curve = Curve(overlay.legend, overlay.style, found.x, found.mean, "line", mark)
        curve = replace(curve, marker=str(overlay.number), dashed=name == "moe")
        for edge in (found.mean - found.std, found.mean + found.std):
            if np.isfinite(edge).any():
                yield replace(curve, y=edge, weight="faint", mark=None, dotted=True, dashed=False)
        yield curve


def _gpu_curves(history: History, readings: GpuReadings, axis: XAxis) -> Iterator[Curve]:
    """Load and memory of each GPU in percent; memory is dashed."""
    found = readings.values
    variants = [v for v in history.variants.values() if v.last]
    if not found or not variants:
        return
    if axis == "time":
        x = np.array([reading.seconds for reading in found], np.float64)
    else:
        first = max(variants, key=lambda v: v.last.step if v.last else 0)
        x = _from_steps(np.array([reading.step for reading in found], np.float64), first, axis)
    count = min(EXPERTS, *(len(reading.load) for reading in found))
    for gpu in range(count):
        load = np.array([reading.load[gpu] for reading in found], np.float64)
        memory = np.array([reading.memory[gpu] for reading in found], np.float64)
        if count == 1:
            yield Curve("utilisation", "good", x, load)
            yield Curve("memory", "accent", x, memory, dashed=True)
            continue
        curve = Curve(f"GPU {gpu}", expert_style(gpu), x, load, marker=str(gpu))
        yield curve
        yield replace(curve, y=memory, dashed=True)


def _as_quantity(curve: Curve, quantity: Quantity) -> Curve:
    if quantity != "perplexity":
        return curve
    y = np.exp(np.minimum(curve.y, 50.0))  # avoids overflow
    return replace(curve, y=y)
