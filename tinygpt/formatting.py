"""Numbers as short text. None and NaN become a dash."""

from __future__ import annotations

import math
from typing import TypeGuard

_UNITS = ("", "k", "M", "G", "T", "P")


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _unknown() -> str:
    return "–"  # noqa: RUF001 - the dash is meant


def _infinite(value: float) -> str:
    return ("-" if value < 0 else "") + "∞"


def loss(value: float | None) -> str:
    """A loss or perplexity with four significant digits, at most three decimals: 1.593, 65.01."""
    if not _known(value):
        return _unknown()
    if not math.isfinite(value):
        return _infinite(value)
    size = abs(value)
    if size >= 9999.5:
        return count(value)
    return f"{value:z.{3 if size < 9.9995 else 2 if size < 99.995 else 1 if size < 999.95 else 0}f}"


def count(value: float | None) -> str:
    """A count with three significant digits and an SI prefix: 987, 12.3k, 1.23M."""
    if not _known(value):
        return _unknown()
    if not math.isfinite(value):
        return _infinite(value)
    scaled, units = float(value), iter(_UNITS)
    unit = next(units)
    while abs(scaled) >= 999.5:
        scaled, further = scaled / 1000, next(units, None)
        if further is None:
            return f"{value:.2e}"
        unit = further
    if not unit:
        return f"{scaled:.0f}" if scaled == round(scaled) else f"{scaled:.3g}"
    size = abs(scaled)
    return f"{scaled:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}{unit}"


def rate(value: float | None, unit: str = "") -> str:
    """A count per second: 12.3k tok/s for the unit "tok"."""
    return count(value) + (f" {unit}/s" if unit else "/s")


def duration(seconds: float | None) -> str:
    """A duration in its two largest units: 0.4s, 42s, 3:07, 2h05, 3d04h."""
    if not _known(seconds):
        return _unknown()
    if not math.isfinite(seconds):
        return _infinite(seconds)
    if seconds < 0:
        return "-" + duration(-seconds)
    if 0 < seconds < 0.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage, with one decimal below ten: 3.2%, 42%, 100%."""
    if not _known(fraction):
        return _unknown()
    if not math.isfinite(fraction):
        return _infinite(fraction)
    value = 100 * fraction
    return f"{value:z.1f}%" if 0 < abs(value) < 9.95 else f"{value:z.0f}%"


def size(count: int) -> str:
    """A number of bytes in decimal units, as disks are sold: 812 B, 14.2 kB, 3.1 MB, 214 MB."""
    scaled, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while scaled >= 999.5 and (further := next(units, None)):
        scaled, unit = scaled / 1000, further
    return f"{scaled:.{0 if scaled >= 99.95 or unit == 'B' else 1}f} {unit}"
