"""Fewer points for the same picture, and the round numbers of an axis."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

# Cumulative sums carry about 16 digits, shared by the largest value and all that follow it: beyond
# this magnitude (a loss that blew up) later means would lose theirs.
_SUMMABLE = 1e6
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_TIME_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
)
_LOG_MANTISSAS = ((1.0, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def visible(x: Array, x0: float, x1: float) -> slice:
    """Where an ascending x lies in [x0, x1], with one neighbour on each side, so that a line that
    leaves the view is drawn up to its edge."""
    start = int(np.searchsorted(x, x0, side="left"))
    stop = int(np.searchsorted(x, x1, side="right"))
    return slice(max(start - 1, 0), min(stop + 1, len(x)))


def extremes(x: Array, y: Array, buckets: int, x0: float, x1: float) -> tuple[Array, Array]:
    """The visible part, cut down to the minimum and the maximum of each of `buckets` equal parts
    of [x0, x1], in their order in x.

    A bucket of NaN alone stays as one NaN; NaN beside numbers is dropped, being narrower than what
    a bucket shows. The neighbours outside the view are kept. Few enough points stay as they are.
    """
    part = visible(x, x0, x1)
    x, y = x[part], y[part]
    if len(x) <= 2 * buckets:
        return x, y
    bounds = _bounds(x, buckets, x0, x1)
    missing = np.isnan(y)
    gaps = bool(missing.any())
    low = np.where(missing, np.inf, y) if gaps else y
    high = np.where(missing, -np.inf, y) if gaps else y
    kept: list[int] = []
    for start, stop in pairwise(bounds.tolist()):
        first = start + int(low[start:stop].argmin())
        second = start + int(high[start:stop].argmax())
        kept += [first] if first == second else sorted((first, second))
    chosen = np.asarray(kept, dtype=np.intp)
    return x[chosen], y[chosen]


def _bounds(x: Array, buckets: int, x0: float, x1: float) -> Indices:
    """Where each bucket that has points begins, and the end of x last."""
    edges = np.linspace(x0, x1, buckets + 1)
    inner = np.searchsorted(x, edges[:-1], side="left")
    end = np.searchsorted(x, x1, side="right")
    return np.unique(np.array([0, *inner.tolist(), int(end), len(x)], dtype=np.intp))


class Averages:
    """Trailing means of y over any window, each at the cost of two look-ups, NaN left out."""

    def __init__(self, y: Array) -> None:
        valid = np.isfinite(y)
        self._values = y if valid.all() else np.where(valid, y, 0.0)
        self._counts = np.concatenate(([0], np.cumsum(valid)))
        peak = float(np.abs(self._values).max(initial=0.0))
        summable = peak < _SUMMABLE
        self._sums = np.concatenate(([0.0], np.cumsum(self._values))) if summable else None

    def at(self, window: int, indices: Indices) -> Array:
        """The mean of the last `window` points up to each index; NaN where all of them are NaN."""
        if self._sums is not None:
            return trailing_means(self._sums, self._counts, window, indices)
        start, stop = _spans(window, indices)
        spans = zip(start.tolist(), stop.tolist(), strict=True)
        totals = np.array([self._values[a:b].sum() for a, b in spans], dtype=np.float64)
        return _quotients(totals, self._counts[stop] - self._counts[start])


def trailing_means(sums: Array, counts: Array, window: int, indices: Indices) -> Array:
    """The mean of the last `window` points up to each index, from running sums; NaN without any.

    `sums` and `counts` are one longer than the points: entry i is of the points before point i.
    """
    start, stop = _spans(window, indices)
    return _quotients(sums[stop] - sums[start], counts[stop] - counts[start])


def _spans(window: int, indices: Indices) -> tuple[Indices, Indices]:
    stop = np.asarray(indices, dtype=np.intp) + 1
    return np.maximum(stop - max(window, 1), 0), stop


def _quotients(totals: Array, counts: Array) -> Array:
    means = np.full(len(totals), np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return means


def moving_average(y: Array, window: int, at: Indices) -> Array:
    """`Averages` for a single use; keep the object where y does not change between frames."""
    return Averages(y).at(window, at)


def nice_ticks(low: float, high: float, count: int, *, log: bool = False) -> list[float]:
    """At most `count` round values in [low, high]; on a log scale 1-2-5 of each decade, or, within
    one decade, the linear ones."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or count < 1:
        return [low] if low == high and count > 0 and math.isfinite(low) else []
    if log and low > 0 and high / low >= 10:
        return _log_ticks(low, high, count)
    exponent = math.floor(math.log10((high - low) / count))
    for power in range(exponent, exponent + 3):
        for mantissa in (1, 2, 5):
            ticks = _multiples(low, high, mantissa * 10.0**power, count, digits=-power)
            if ticks is not None:
                return ticks
    return []


def _multiples(
    low: float, high: float, step: float, count: int, digits: int = 6
) -> list[float] | None:
    """The multiples of step in [low, high], None if they are more than `count`."""
    if step <= 0 or not math.isfinite(step):
        return None
    slack = 1e-9 * (high - low) / step
    first, last = math.ceil(low / step - slack), math.floor(high / step + slack)
    if last - first + 1 > count:
        return None
    return [round(k * step, max(digits, 0)) for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(bottom, top + 1)
    for mantissas in _LOG_MANTISSAS:
        ticks = [float(f"{m}e{d}") for d in decades for m in mantissas]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= count:
            return inside
    every = -(-len(decades) // count)
    return [t for d in decades if d % every == 0 and low <= (t := float(f"1e{d}")) <= high][:count]


def time_ticks(low: float, high: float, count: int) -> list[float]:
    """As `nice_ticks`, for seconds: whole minutes, hours and days."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or high - low < count:
        return nice_ticks(low, high, count)
    for step in _TIME_STEPS:
        ticks = _multiples(low, high, step, count)
        if ticks is not None:
            return ticks
    return [day * _DAY for day in nice_ticks(low / _DAY, high / _DAY, count)]


def tick_text(value: float) -> str:
    """A number as short as an axis needs it: 0.05, 1.5, 500, 1k, 2.5M, 1e-6."""
    size = abs(value)
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else str(value)
    if size >= 1e15 or size < 1e-4:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else f"{value:.0e}"
    for unit, suffix in _SUFFIXES:
        if size >= unit:
            return f"{value / unit:.6g}{suffix}"
    return f"{value:.6g}"
