"""The whole Train tab as rows of cells: a pure function of what is known and of the size."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygpt import formatting
from tinygpt.escape import printable
from tinygpt.run import RunState
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.bars import load_bars, progress
from tinygpt_tui.render.cells import Row, Span, beside, fit, row, width
from tinygpt_tui.render.curves import View, chart
from tinygpt_tui.render.downsample import time_ticks
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.theme import NAMES
from tinygpt_tui.train.curves import averages, curves, readout, typical_range, whole_stretch
from tinygpt_tui.train.layout import Layout, arrange
from tinygpt_tui.train.options import Options, XAxis

UNITS = {"steps": "step", "epochs": "epoch", "tokens": "tokens", "time": "training time"}


@dataclass(frozen=True)
class Scene:
    """All that the tab shows."""

    history: History
    options: Options = field(default_factory=Options)
    state: RunState | None = None
    machine: Machine | None = None
    minutes: float | None = None
    """Of the plan, if time is to end the run."""
    overlays: Sequence[Overlay] = ()
    error: str | None = None
    """Why the newest look at the run failed, as long as it does."""
    note: str | None = None
    """What was begun from here and is not seen yet."""
    ascii: bool = False


def tab(
    scene: Scene, columns: int, lines: int, draw: Callable[..., list[Row]] = chart
) -> list[Row]:
    """`lines` rows of `columns` cells; `draw` stands in for `chart`, to draw only what changed."""
    layout = arrange(columns, lines, scene.options.charts, len(scene.history.variants))
    rows = charts(scene, layout, draw)
    if layout.readout:
        rows.append(fit(status_line(scene), columns))
    if layout.table:
        rows += table_rows(scene, columns)[: layout.table]
    if layout.bottom:
        rows += bottom(scene, columns, layout.bottom)
    if layout.machine:
        rows.append(fit(machine_line(scene), columns))
    return [fit(cells, columns) for cells in [*rows, *[()] * lines][:lines]]


def charts(scene: Scene, layout: Layout, draw: Callable[..., list[Row]] = chart) -> list[Row]:
    """One chart, or both beside or above each other."""
    stretch = scene.options.window or whole_stretch(scene.history, scene.options.x_axis)
    blocks = [_chart(scene, place, stretch, draw) for place in layout.charts]
    if layout.stacked:
        return [cells for block in blocks for cells in block]
    return beside(blocks, gap=1)


def _chart(
    scene: Scene,
    place: tuple[str, int, int],
    stretch: tuple[float, float],
    draw: Callable[..., list[Row]],
) -> list[Row]:
    options, (quantity, columns, lines) = scene.options, place
    found = curves(
        scene.history,
        options,
        quantity,
        stretch=stretch,
        columns=columns,
        overlays=scene.overlays,
    )
    limits = None if options.whole_range else typical_range(found, stretch)
    low, high = limits or (None, None)
    return draw(
        found,
        View(*stretch, low, high, options.log_y),
        columns,
        lines,
        title=f"{quantity}{' (log)' if options.log_y else ''}",
        x_label=UNITS[options.x_axis],
        ascii=scene.ascii,
        cursor=options.cursor,
        **_x_style(options.x_axis),
    )


def _x_style(axis: XAxis) -> dict[str, Any]:
    """How x is written."""
    if axis == "time":
        return {"x_text": formatting.duration, "x_ticks": time_ticks}
    return {}


def status_line(scene: Scene) -> Row:
    """One line under the charts: what matters most just now."""
    if scene.options.cursor is not None and scene.history.variants:
        return _readout_line(scene)
    if said := scene.error or scene.note:
        return row(Span(" " + printable(said), "warn"))
    state = scene.state
    if state and state.state in ("failed", "killed", "stopped", "stalled", "unreadable"):
        again = "  u resumes it" if state.resumable else ""
        return row(Span(f" {printable(state.reason)}", "warn"), Span(again, "key"))
    if state and state.active and state.status and state.status.error:
        return row(Span(f" {printable(state.reason)}", "warn"))
    if scene.history.end and state and state.state == "done":
        return closing_line(scene.history, scene.overlays)
    return _hint_line(scene)


def closing_line(history: History, overlays: Sequence[Overlay] = ()) -> Row:
    """How the run ended, and which model is better by how much; what lies over it."""
    assert history.end is not None
    reason = "" if overlays else f": {printable(history.end.reason)}"
    parts: list[Span | str] = [Span(f" Done{reason}", "good")]
    losses = {name: v.evaluated.val_loss for name, v in history.variants.items() if v.evaluated}
    if losses.keys() >= {"dense", "moe"}:
        better, worse = sorted(("dense", "moe"), key=losses.__getitem__)
        gap = losses[worse] - losses[better]
        parts += ["   ", Span(f"{_called(better)} is better by {gap:.4f} nats", better)]
        times = {name: history.variants[name].seconds.values for name in ("dense", "moe")}
        if not overlays and all(len(t) and t[-1] > 0 for t in times.values()):
            ratio = float(times["moe"][-1] / times["dense"][-1])
            parts.append(Span(f"   MoE took {ratio:.2f} times Dense's training time", "muted"))
    return row(*parts, *_overlaid(overlays))


def _overlaid(overlays: Sequence[Overlay]) -> list[Span]:
    """The names of the runs over the charts, each in its colour."""
    names = [Span(f"  {printable(overlay.name)}", overlay.style) for overlay in overlays]
    return [Span("   over it:", "muted"), *names] if names else []


def _readout_line(scene: Scene) -> Row:
    """The exact values at the crosshair: raw loss, moving average, last validation loss."""
    parts: list[Span | str] = []
    for name, (step, raw, mean, val) in readout(scene.history, scene.options).items():
        between = "│"
        parts += [Span(f" {between} " if parts else f" step {step:,}  ", "muted")]
        parts += [
            Span(f"{_called(name)} ", f"{name}.bold"),
            Span(f"{_digits(raw, 3)} mean {_digits(mean, 3)}", "text"),
            Span(f" val {_digits(val, 4)}", "strong"),
        ]
    return row(*parts)


def _hint_line(scene: Scene) -> Row:
    options = scene.options
    parts = [f"mean of {options.average}" if options.average > 1 else "not smoothed"]
    parts.append("following" if options.window is None else "zoomed: 0 shows all")
    if options.hidden:
        parts.append("hidden: " + ", ".join(sorted(options.hidden)))
    return row(Span(" " + "  ".join(parts), "muted"), *_overlaid(scene.overlays))


COLUMNS = (
    Column("", 11, "left", 0),
    Column("progress", 10, "left", 6),
    Column("step", 7, "right", 1),
    Column("left", 5, "right", 4),
    Column("train", 6, "right", 2),
    Column("val", 7, "right", 0),
    Column("ppl", 6, "right", 1),
    Column("bpc", 6, "right", 7),
    Column("best", 7, "right", 3),
    Column("at", 7, "right", 9),
    Column("epoch", 6, "right", 8),
    Column("lr", 7, "right", 10),
    Column("|grad|", 6, "right", 11),
    Column("tok/s", 6, "right", 5),
    Column("active", 6, "right", 9),
    Column("params", 6, "right", 9),
)
_VAL, _PPL, _BEST = 5, 6, 8


def table_rows(scene: Scene, columns: int) -> list[Row]:
    """A row a variant, and the gap between them."""
    rows = [variant_cells(scene, name, v) for name, v in scene.history.variants.items()]
    if len(rows) > 1:
        rows.append(_gap_cells(scene.history))
    return table(COLUMNS, rows, columns, gap=2 if columns >= 150 else 1)


def variant_cells(scene: Scene, name: str, variant: VariantHistory) -> list[Span]:
    """One variant's numbers, in the order of COLUMNS."""
    last, found = variant.last, variant.evaluated
    counts = scene.history.start.models.get(name, {}) if scene.history.start else {}
    bar = progress(fraction_done(scene, variant), 10, name)
    texts = (
        _whole(last.step if last else None),
        formatting.duration(seconds_left(scene, variant)),
        formatting.loss(_recent_loss(variant)),
        _digits(found.val_loss if found else None, 4),
        _digits(found.perplexity if found else None, 2),
        _digits(found.bits_per_char if found else None, 3),
        _digits(found.best_val_loss if found else None, 4),
        _whole(found.best_step if found else None),
        _digits(last.epoch if last else None, 2),
        _digits(last.lr if last else None, 4),
        _digits(last.grad_norm if last else None, 3),
        formatting.count(variant.tokens_per_second),
        formatting.count(counts.get("params_active")),
        formatting.count(counts.get("params_total")),
    )
    strong = {_VAL - 2}
    cells = [Span(t, "strong" if i in strong else "text") for i, t in enumerate(texts)]
    return [Span(_called(name), f"{name}.bold"), _flat(bar), *cells]


def _recent_loss(variant: VariantHistory) -> float | None:
    """The mean of the newest finite train losses."""
    count = len(variant.loss.values)
    return float(averages(variant, np.array([count - 1.0]), 50)[0]) if count else None


def _whole(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if value < 1_000_000 else formatting.count(value)


def _digits(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.0e}"


def _flat(cells: Row) -> Span:
    """A bar as one span: its filled part decides the style."""
    return Span("".join(span.text for span in cells), cells[0].style if cells else "")


def _gap_cells(history: History) -> list[Span]:
    """Dense minus MoE: positive where MoE is better."""
    dense, moe = (history.variants.get(name) for name in ("dense", "moe"))
    cells = [Span("Dense - MoE", "muted")] + [Span("")] * (len(COLUMNS) - 1)
    if not dense or not moe or not dense.evaluated or not moe.evaluated:
        return cells
    if dense.evaluated.step != moe.evaluated.step:
        return cells
    gap = dense.evaluated.val_loss - moe.evaluated.val_loss
    style = "moe" if gap > 0 else "dense"
    cells[_VAL] = Span(f"{gap:+.4f}", style)
    cells[_PPL] = Span(f"{dense.evaluated.perplexity - moe.evaluated.perplexity:+.2f}", style)
    cells[_BEST] = Span(
        f"{dense.evaluated.best_val_loss - moe.evaluated.best_val_loss:+.4f}", style
    )
    return cells


def fraction_done(scene: Scene, variant: VariantHistory) -> float:
    """Share of the plan that is done, by steps or by time, whichever is further."""
    shares = [0.0]
    start, last = scene.history.start, variant.last
    if start and start.steps and last:
        shares.append(last.step / start.steps)
    if scene.minutes and start and last:
        shares.append(scene.history.wall_seconds / 60 / scene.minutes)
    return min(1.0, max(shares))


def seconds_left(scene: Scene, variant: VariantHistory) -> float | None:
    """Until the planned end, at the pace of the newest steps of all variants together."""
    start, last = scene.history.start, variant.last
    over = scene.history.end or (scene.state is not None and not scene.state.active)
    if over or not start or not last:
        return None
    ends = []
    if start.steps:
        pace = sum(filter(None, (_step_seconds(v) for v in scene.history.variants.values())))
        ends += [(start.steps - last.step) * pace] if pace else []
    if scene.minutes:
        ends.append(60 * scene.minutes - scene.history.wall_seconds)
    return max(0.0, min(ends)) if ends else None


def _step_seconds(variant: VariantHistory) -> float | None:
    if not variant.last or not variant.tokens_per_second or not variant.last.step:
        return None
    return variant.last.tokens / variant.last.step / variant.tokens_per_second


def bottom(scene: Scene, columns: int, lines: int) -> list[Row]:
    """Expert load at the left, the newest samples at the right."""
    loads = [v.routing for v in scene.history.variants.values() if v.routing]
    left: list[Row] = []
    if loads:
        size = min(44, max(24, columns * 3 // 10))
        left = [fit(row(Span(" expert load by layer", "muted")), size)]
        left += [fit(cells, size) for cells in load_bars(loads[0].load, size)]
    rest = columns - (width(left[0]) + 2 if left else 0)
    samples = [(name, v) for name, v in scene.history.variants.items() if v.sample]
    blocks = [left] if left else []
    if scene.history.variants and not (loads or samples) and not scene.history.end:
        blocks = [[row(Span(" samples and expert load come with the first evaluation", "faint"))]]
    if samples:
        size = (rest - 2 * (len(samples) - 1)) // len(samples)
        blocks += [sample_block(name, v, size, lines) for name, v in samples]
    return [*beside([block[:lines] for block in blocks], gap=2), *[()] * lines][:lines]


def sample_block(name: str, variant: VariantHistory, columns: int, lines: int) -> list[Row]:
    """The newest sample of one model, wrapped."""
    assert variant.sample is not None
    sample = variant.sample
    title = f"{_called(name)} writes at step {sample.step:,}"
    rows = [fit(row(Span(title, name)), columns)]
    for line in (sample.prompt + sample.text).strip("\n").split("\n"):
        wrapped = textwrap.wrap(printable(line), max(1, columns)) or [""]
        rows += [fit(row(Span(part, "text")), columns) for part in wrapped]
    return rows[:lines]


def machine_line(scene: Scene) -> Row:
    """What the box is doing."""
    machine = scene.machine
    if machine is None:
        return ()
    parts = []
    if machine.cpu_percent is not None:
        parts.append(f"CPU {machine.cpu_percent:.0f} % of {machine.cpus}")
    parts.append(_memory("memory", machine.memory_used, machine.memory_total))
    for gpu in machine.gpus:
        words = (
            printable(gpu.name),
            "" if gpu.percent is None else f"{gpu.percent:.0f} %",
            _memory("", gpu.memory_used, gpu.memory_total),
            "" if gpu.celsius is None else f"{gpu.celsius:.0f} C",
            "" if gpu.watts is None else f"{gpu.watts:.0f} W",
        )
        parts.append(" ".join(word for word in words if word))
    return row(Span(" " + "   ".join(part for part in parts if part), "faint"))


def _memory(name: str, used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return ""
    return f"{name} {used / 2**30:.1f}/{total / 2**30:.0f} GiB".strip()


def _called(name: str) -> str:
    return NAMES.get(name) or printable(name)
