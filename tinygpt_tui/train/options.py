"""How the charts are looked at: a value that each key replaces by another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

XAxis: TypeAlias = Literal["steps", "epochs", "tokens", "time"]
X_AXES: tuple[XAxis, ...] = ("steps", "epochs", "tokens", "time")
Charts: TypeAlias = Literal["both", "loss", "perplexity"]
CHARTS: tuple[Charts, ...] = ("both", "loss", "perplexity")
WINDOWS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
"""Records that the moving average is over; 1 is none."""
CURVES = ("dense", "moe", "train", "val")


@dataclass(frozen=True, slots=True)
class Options:
    """What the keys of the charts have set."""

    x_axis: XAxis = "steps"
    log_y: bool = False
    whole_range: bool = False
    """Whether y spans everything, the first steep fall too."""
    charts: Charts = "both"
    smoothing: int = 4
    """Index into WINDOWS."""
    window: tuple[float, float] | None = None
    """The stretch of x that is shown; None shows everything and follows the newest."""
    cursor: float | None = None
    """Where the crosshair stands, in units of x."""
    hidden: frozenset[str] = frozenset()

    @property
    def average(self) -> int:
        """Records that the moving average is over."""
        return WINDOWS[self.smoothing]

    def next_x(self) -> Self:
        """Another unit of x; a stretch of the old one would mean nothing."""
        axis = X_AXES[(X_AXES.index(self.x_axis) + 1) % len(X_AXES)]
        return replace(self, x_axis=axis, window=None, cursor=None)

    def next_charts(self) -> Self:
        """Both charts, or one full-screen."""
        return replace(self, charts=CHARTS[(CHARTS.index(self.charts) + 1) % len(CHARTS)])

    def smoothed(self, by: int) -> Self:
        """A longer or a shorter moving average."""
        return replace(self, smoothing=min(max(self.smoothing + by, 0), len(WINDOWS) - 1))

    def toggled(self, curve: str) -> Self:
        """One curve more, or one less."""
        return replace(self, hidden=self.hidden ^ {curve})

    def zoomed(self, by: int, whole: tuple[float, float], newest: float) -> Self:
        """Half or twice the stretch, around the crosshair or else the newest record."""
        low, high = self.window or whole
        span = (high - low) * 0.5**by
        if span >= whole[1] - whole[0]:
            return replace(self, window=None)
        if span < (whole[1] - whole[0]) * 1e-5:
            return self
        anchor = max(low, min(high, newest if self.cursor is None else self.cursor))
        share = (anchor - low) / (high - low) if high > low else 1.0
        start = anchor - share * span
        return replace(self, window=_inside((start, start + span), whole))

    def panned(self, by: float, whole: tuple[float, float]) -> Self:
        """The stretch moved by a twentieth of itself."""
        if self.window is None:
            return self
        low, high = self.window
        shift = (high - low) / 20 * by
        return replace(self, window=_inside((low + shift, high + shift), whole))


def _inside(window: tuple[float, float], whole: tuple[float, float]) -> tuple[float, float]:
    """A stretch pushed back to where there are data."""
    low, high = window
    shift = max(0.0, whole[0] - low) - max(0.0, high - whole[1])
    return low + shift, high + shift
