"""What the Train tab shows, and how each key changes the chart options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias

from tinygpt.run import RunState
from tinygpt.smoothing import SPAN
from tinygpt_tui.monitor.gpu_readings import GpuReadings
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.monitor.seed_spread import SeedSpread

XAxis: TypeAlias = Literal["steps", "epochs", "tokens", "time"]
X_AXES: tuple[XAxis, ...] = ("steps", "epochs", "tokens", "time")
Quantity: TypeAlias = Literal[
    "loss", "perplexity", "learning rate", "gradient norm", "tokens/s", "GPU"
]
RIGHT: tuple[Quantity, ...] = ("perplexity", "learning rate", "gradient norm", "tokens/s", "GPU")
"""What the chart on the right can show; the one on the left shows the loss."""
SHORT: Mapping[Quantity, str] = {
    "loss": "loss",
    "perplexity": "ppl",
    "learning rate": "lr",
    "gradient norm": "|grad|",
    "tokens/s": "tok/s",
    "GPU": "GPU",
}
"""Names for narrow charts, as in the table."""
Charts: TypeAlias = Literal["both", "left", "right"]
CHARTS: tuple[Charts, ...] = ("both", "left", "right")
SPANS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
"""Spans of the exponential average, in train records; 1 turns smoothing off."""
MAX_ZOOM = 1e-5
"""Smallest window, as a fraction of the full range."""


@dataclass(frozen=True, slots=True)
class Options:
    """Chart settings that the keys change."""

    x_axis: XAxis = "steps"
    log_y: bool = False
    full_y_range: bool = False
    """Whether y includes the steep drop at the start of the run."""
    charts: Charts = "both"
    right: Quantity = "perplexity"
    """What the chart on the right shows."""
    smoothing: int = SPANS.index(SPAN)
    """Index into SPANS."""
    window: tuple[float, float] | None = None
    """Visible range of x; None shows the whole run and scrolls along with new records."""
    cursor: float | None = None
    """Crosshair position, in units of x."""
    hidden: frozenset[str] = frozenset()
    """Any of "dense", "moe", "train" and "val"."""

    @property
    def span(self) -> int:
        """Span of the exponential average, in train records."""
        return SPANS[self.smoothing]

    @property
    def shown(self) -> tuple[Quantity, ...]:
        """What the charts show, from left to right."""
        return {"both": ("loss", self.right), "left": ("loss",), "right": (self.right,)}[
            self.charts
        ]

    def next_x(self) -> Self:
        """Switch the unit of x; window and crosshair, which are in the old unit, are reset."""
        axis = X_AXES[(X_AXES.index(self.x_axis) + 1) % len(X_AXES)]
        return replace(self, x_axis=axis, window=None, cursor=None)

    def next_charts(self) -> Self:
        """Switch between both charts, the left one alone and the right one alone."""
        return replace(self, charts=CHARTS[(CHARTS.index(self.charts) + 1) % len(CHARTS)])

    def next_right(self, *, gpu: bool) -> Self:
        """Show the next quantity in the chart on the right; `gpu` is whether there are readings of
        one."""
        if self.charts == "left":
            return replace(self, charts="both")
        known = RIGHT if gpu else RIGHT[:-1]
        at = known.index(self.right) if self.right in known else -1
        return replace(self, right=known[(at + 1) % len(known)])

    def next_single(self, *, gpu: bool) -> Self:
        """Where there is room for one chart only: show the next quantity, the loss included."""
        if self.shown[0] == "loss":
            return replace(self, charts="right", right=RIGHT[0])
        after = self.next_right(gpu=gpu)
        return replace(after, charts="left") if after.right == RIGHT[0] else after

    def smoothed(self, by: int) -> Self:
        """Smooth more (`by` > 0) or less."""
        smoothing = min(max(self.smoothing + by, 0), len(SPANS) - 1)
        return replace(self, smoothing=smoothing)

    def toggled_log(self) -> Self:
        """Switch between a linear and a logarithmic y axis."""
        return replace(self, log_y=not self.log_y)

    def toggled_range(self) -> Self:
        """Switch between the full range of y and the one without the initial drop."""
        return replace(self, full_y_range=not self.full_y_range)

    def next_models(self) -> Self:
        """Show both models, Dense alone, MoE alone."""
        return self._hiding_next(({"moe"}, {"dense"}))

    def next_curves(self) -> Self:
        """Show train and validation curves, those of validation alone, those of train alone."""
        return self._hiding_next(({"train"}, {"val"}))

    def _hiding_next(self, order: Sequence[set[str]]) -> Self:
        """Hide nothing, the first, the second of two sets, in turn."""
        first, second = order
        shown = self.hidden - first - second
        if self.hidden & first:
            return replace(self, hidden=shown | second)
        return replace(self, hidden=shown if self.hidden & second else shown | first)

    def zoomed(self, by: int, full: tuple[float, float], latest: float) -> Self:
        """Zoom by a factor of 2**`by` around the crosshair, or else around the latest record."""
        low, high = self.window or full
        span = (high - low) * 0.5**by
        if span >= full[1] - full[0]:
            return replace(self, window=None)
        if span < (full[1] - full[0]) * MAX_ZOOM:
            return self
        anchor = max(low, min(high, latest if self.cursor is None else self.cursor))
        share = (anchor - low) / (high - low) if high > low else 1.0
        start = anchor - share * span
        return replace(self, window=_inside((start, start + span), full))

    def panned(self, by: float, full: tuple[float, float]) -> Self:
        """Pan by `by` twentieths of the window; has no effect while the whole run is shown."""
        if self.window is None:
            return self
        low, high = self.window
        shift = (high - low) / 20 * by
        return replace(self, window=_inside((low + shift, high + shift), full))


def _inside(window: tuple[float, float], full: tuple[float, float]) -> tuple[float, float]:
    """The window, shifted to lie within the full range."""
    low, high = window
    shift = max(0.0, full[0] - low) - max(0.0, high - full[1])
    return low + shift, high + shift


@dataclass(frozen=True)
class TrainState:
    """Everything that the Train tab shows."""

    history: History
    options: Options = field(default_factory=Options)
    run_state: RunState | None = None
    machine: Machine | None = None
    minutes: float | None = None
    """Planned training time in minutes, if the run has a time limit."""
    seeds: SeedSpread | None = None
    """How much the difference of the variants depends on the seed, if the study has such runs."""
    readings: GpuReadings = field(default_factory=GpuReadings)
    """Of this machine's GPUs, while the app has watched this run."""
    overlays: Sequence[Overlay] = ()
    error: str | None = None
    """Why the latest attempt to read the run failed; None once it succeeds again."""
    note: str | None = None
    """About a trainer that was started here and has not reported yet."""
    ascii: bool = False
    """Whether curves are drawn in ASCII."""
