"""The Train tab as rows of cells: a pure function of its state and size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygpt import formatting
from tinygpt.data.corpus import FALLBACK_WARNING, is_fallback
from tinygpt.escape import printable
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.render.bars import load_bars, load_title, progress
from tinygpt_tui.render.cells import BEST, Row, Span, beside, fit, row, width
from tinygpt_tui.render.curves import View, chart
from tinygpt_tui.render.downsample import time_ticks
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.render.wrap import Flow
from tinygpt_tui.theme import NAMES
from tinygpt_tui.train.curves import (
    Quantity,
    averages,
    curves,
    full_range,
    typical_range,
    values_at_crosshair,
)
from tinygpt_tui.train.eta import seconds_left
from tinygpt_tui.train.layout import Layout, arrange
from tinygpt_tui.train.overlay_table import overlay_rows
from tinygpt_tui.train.state import TrainState, XAxis

X_LABELS = {"steps": "step", "epochs": "epoch", "tokens": "tokens", "time": "training time"}


def tab(
    state: TrainState, columns: int, lines: int, draw: Callable[..., list[Row]] = chart
) -> list[Row]:
    """Exactly `lines` rows of `columns`; `draw` may replace `chart`, to cache charts."""
    runs = len(state.history.variants), len(state.overlays)
    layout = arrange(columns, lines, state.options.charts, *runs)
    rows = charts(state, layout, draw)
    if layout.status:
        rows.append(fit(status_line(state, columns), columns))
    if layout.table:
        rows += table_rows(state, columns)[: layout.table]
    if layout.overlays:
        rows += overlay_rows(state, columns)
    if layout.bottom:
        rows += bottom(state, columns, layout.bottom)
    if layout.machine:
        rows.append(fit(machine_line(state), columns))
    return [fit(cells, columns) for cells in [*rows, *[()] * lines][:lines]]


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
    )
    limits = None if options.full_y_range else typical_range(drawn, x_range)
    low, high = limits or (None, None)
    return draw(
        drawn,
        View(*x_range, low, high, options.log_y),
        columns,
        lines,
        title=f"{quantity}{' (log)' if options.log_y else ''}",
        x_label=X_LABELS[options.x_axis],
        ascii=state.ascii,
        cursor=options.cursor,
        **_x_style(options.x_axis),
    )


def _x_style(axis: XAxis) -> dict[str, Any]:
    """How x is labelled, if it is not a plain number."""
    if axis == "time":
        return {"x_text": formatting.duration, "x_ticks": time_ticks}
    return {}


def status_line(state: TrainState, columns: int = 80) -> Row:
    """The line below the charts: the most important of crosshair, errors, state and hints, and
    which variants are overfitting."""
    if state.options.cursor is not None and state.history.variants:
        return _crosshair_line(state)
    if message := state.error or state.note:
        return row(Span(" " + printable(message), "warn"))
    run = state.run_state
    if run and run.state in ("failed", "killed", "stopped", "stalled", "unreadable"):
        hint = "  u resumes it" if run.resumable else ""
        known = row(Span(f" {printable(run.reason)}", "warn"), Span(hint, "key"))
        warning = overfitting_warning(state.history, columns - width(known) - 1)
        return row(*known, " ", *warning) if warning else known
    if run and run.active and (run.silent or (run.status and run.status.error)):
        return row(Span(f" {printable(run.reason)}", "warn"))
    warning = row(*substitute_warning(state.history), *overfitting_warning(state.history, columns))
    if state.history.end and run and run.state == "done":
        rest = closing_line(state.history)
    else:
        rest = _hint_line(state)
    return _followed_by(rest, warning, columns) if warning else rest


def substitute_warning(history: History) -> Row:
    """That the offline substitute was taken in place of tinyshakespeare; empty if it was not."""
    if not history.start or not is_fallback(history.start.corpus):
        return ()
    return (Span(f" Corpus: {history.start.corpus['name']}, {FALLBACK_WARNING} ", "warn"),)


def overfitting_warning(history: History, columns: int) -> Row:
    """Since when which variants are overfitting, in short if `columns` are few; empty if none."""
    found = {_title(n): known for n, v in history.variants.items() if (known := v.overfitting)}
    if not found:
        return ()
    text = "  ".join(f"{name}: {known}" for name, known in found.items())
    if len(text) + 2 > columns:
        short = (f"{n} {o.step:,} (best {formatting.loss(o.loss)})" for n, o in found.items())
        text = f"Overfitting since step: {', '.join(short)}"
    return (Span(f" {text} ", "warn"),)


def _followed_by(rest: Row, first: Row, columns: int) -> Row:
    """`first`, and as many whole spans of `rest` as fit after it."""
    for span in rest:
        if width(first) + width((span,)) > columns:
            break
        first = row(*first, span)
    return first


def closing_line(history: History) -> Row:
    """How the run ended, and which model is better and by how much."""
    parts: list[Span | str] = [Span(f" Finished: {_end_reason(history)}", "good")]
    losses = {name: v.evaluated.val_loss for name, v in history.variants.items() if v.evaluated}
    if losses.keys() >= {"dense", "moe"}:
        parts += ["   ", _verdict(losses)]
        times = {name: history.variants[name].seconds.values for name in ("dense", "moe")}
        if all(len(t) and t[-1] > 0 for t in times.values()):
            ratio = float(times["moe"][-1] / times["dense"][-1])
            parts.append(Span(f"   MoE training time: {ratio:.2f}x Dense", "muted"))
    return row(*parts)


def _verdict(losses: Mapping[str, float]) -> Span:
    """Which model has the lower validation loss, as far as four decimals tell."""
    better, worse = sorted(("dense", "moe"), key=losses.__getitem__)
    gap = f"{losses[worse] - losses[better]:.4f}"
    if float(gap) == 0:
        return Span("Dense and MoE have equal losses", "text")
    return Span(f"{_title(better)} is better by {gap} nats", better)


def _end_reason(history: History) -> str:
    """The number of steps if all planned ones were taken, else the recorded reason."""
    assert history.end is not None
    planned = history.start.steps if history.start else None
    taken = [variant.last.step for variant in history.variants.values() if variant.last]
    if planned and taken and min(taken) >= planned:
        return f"{planned:,} steps"
    return printable(history.end.reason)


def _crosshair_line(state: TrainState) -> Row:
    parts: list[Span | str] = []
    for name, values in values_at_crosshair(state.history, state.options).items():
        parts += [Span(" │ " if parts else f" step {values.step:,}  ", "muted")]
        parts += [
            Span(f"{_title(name)} ", f"{name}.bold"),
            Span(f"{_digits(values.raw, 3)} mean {_digits(values.mean, 3)}", "text"),
            Span(f" val {_digits(values.val, 4)}", "strong"),
        ]
    return row(*parts)


def _hint_line(state: TrainState) -> Row:
    options = state.options
    parts = [f"train: mean of {options.average}" if options.average > 1 else "train: unsmoothed"]
    parts.append("auto-scroll" if options.window is None else "zoomed (0 shows all)")
    if state.history.start and (sample := state.history.start.val_tokens):
        parts.append(f"val: a fixed sample of {formatting.count(sample)} tokens")
    if options.hidden:
        parts.append("hidden: " + ", ".join(sorted(options.hidden)))
    return row(Span(" " + " · ".join(parts), "muted"))


COLUMNS = (
    Column("", 11, "left", 0),
    Column("progress", 10, "left", 6),
    Column("step", 7, "right", 1),
    Column("ETA", 5, "right", 4),
    Column("train", 6, "right", 2),
    Column("val", 7, "right", 0),
    Column("ppl", 6, "right", 1),
    Column("bpc", 6, "right", 7),
    Column("best", 7, "right", 3),
    Column("best step", 9, "right", 9),
    Column("epoch", 6, "right", 8),
    Column("lr", 7, "right", 10),
    Column("|grad|", 6, "right", 11),
    Column("tok/s", 6, "right", 5),
    Column("active", 6, "right", 9),
    Column("params", 6, "right", 9),
)
_VAL, _PPL, _BEST = 5, 6, 8


def table_rows(state: TrainState, columns: int) -> list[Row]:
    """One row per variant, and one for the difference if there are two."""
    rows = [variant_cells(state, name, v) for name, v in state.history.variants.items()]
    if len(rows) > 1:
        rows.append(_gap_cells(state.history))
    return table(COLUMNS, rows, columns, gap=2 if columns >= 150 else 1)


def variant_cells(state: TrainState, name: str, variant: VariantHistory) -> list[Span]:
    """One variant's numbers, in the order of COLUMNS."""
    last, evaluated = variant.last, variant.evaluated
    counts = state.history.start.models.get(name, {}) if state.history.start else {}
    best = _digits(evaluated.best_val_loss if evaluated else None, 4)
    bar = progress(fraction_done(state, variant), 10, name)
    progress_cell = Span("".join(span.text for span in bar), bar[0].style)
    texts = (
        _integer(last.step if last else None),
        formatting.duration(seconds_left(state, variant)),
        formatting.loss(_recent_loss(variant)),
        _digits(evaluated.val_loss if evaluated else None, 4),
        _digits(evaluated.perplexity if evaluated else None, 2),
        _digits(evaluated.bits_per_char if evaluated else None, 3),
        best if best == "-" else f"{BEST}{best}",
        _integer(evaluated.best_step if evaluated else None),
        _digits(last.epoch if last else None, 2),
        _digits(last.lr if last else None, 4),
        _digits(last.grad_norm if last else None, 3),
        formatting.count(variant.tokens_per_second),
        formatting.count(counts.get("params_active")),
        formatting.count(counts.get("params_total")),
    )
    first = len(COLUMNS) - len(texts)
    cells = [Span(t, "strong" if i == _VAL else "text") for i, t in enumerate(texts, first)]
    if variant.overfitting:
        cells[_BEST - first] = Span(cells[_BEST - first].text, "warn")
    return [Span(_title(name), f"{name}.bold"), progress_cell, *cells]


def _recent_loss(variant: VariantHistory) -> float | None:
    """Mean of the latest 50 train losses, infinite ones and NaN left out."""
    count = len(variant.loss.values)
    return float(averages(variant, np.array([count - 1.0]), 50)[0]) if count else None


def _integer(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if value < 1_000_000 else formatting.count(value)


def _digits(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.0e}"


def _gap_cells(history: History) -> list[Span]:
    """Dense minus MoE after evaluations at the same step: positive where MoE is better."""
    cells = [Span("Dense - MoE", "muted")] + [Span("")] * (len(COLUMNS) - 1)
    variants = (history.variants.get(name) for name in ("dense", "moe"))
    dense, moe = (variant.evaluated if variant else None for variant in variants)
    if not dense or not moe or dense.step != moe.step:
        return cells
    gap = f"{dense.val_loss - moe.val_loss:+z.4f}"
    style = "text" if float(gap) == 0 else "moe" if float(gap) > 0 else "dense"
    cells[_VAL] = Span(gap, style)
    cells[_PPL] = Span(f"{dense.perplexity - moe.perplexity:+z.2f}", style)
    cells[_BEST] = Span(f"{dense.best_val_loss - moe.best_val_loss:+z.4f}", style)
    return cells


def fraction_done(state: TrainState, variant: VariantHistory) -> float:
    """The larger of the fractions of planned steps and of planned time, at most 1."""
    fractions = [0.0]
    start, last = state.history.start, variant.last
    if start and start.steps and last:
        fractions.append(last.step / start.steps)
    if state.minutes and start and last:
        fractions.append(state.history.wall_seconds / 60 / state.minutes)
    return min(1.0, max(fractions))


def bottom(state: TrainState, columns: int, lines: int) -> list[Row]:
    """Expert load on the left, the latest samples on the right."""
    loads = [v.routing for v in state.history.variants.values() if v.routing]
    left: list[Row] = []
    if loads:
        size = min(44, max(24, columns * 3 // 10))
        words = load_title(loads[0].load, size)
        left = [fit(row(Span(f" {words}", "muted")), size)]
        left += [fit(cells, size) for cells in load_bars(loads[0].load, size)]
    rest = columns - (width(left[0]) + 2 if left else 0)
    samples = [(name, v) for name, v in state.history.variants.items() if v.sample]
    blocks = [left] if left else []
    if state.history.variants and not (loads or samples) and not state.history.end:
        blocks = [
            [row(Span(" Samples and expert load appear after the first evaluation", "faint"))]
        ]
    if samples:
        size = (rest - 2 * (len(samples) - 1)) // len(samples)
        blocks += [sample_block(name, v, size, lines) for name, v in samples]
    return [*beside([block[:lines] for block in blocks], gap=2), *[()] * lines][:lines]


def sample_block(name: str, variant: VariantHistory, columns: int, lines: int) -> list[Row]:
    """The latest sample of one variant, wrapped."""
    assert variant.sample is not None
    sample = variant.sample
    title = f"{_title(name)} sample @ step {sample.step:,}"
    rows = [fit(row(Span(title, name)), columns)]
    flow = Flow(columns)
    flow.add((sample.prompt + sample.text).strip("\n"), -1)
    for number in range(min(flow.height, lines - 1)):
        text = "".join(cell.text for cell in flow.line(number))
        rows.append(fit(row(Span(text, "text")), columns))
    return rows[:lines]


def machine_line(state: TrainState) -> Row:
    """CPU, memory and GPUs of this machine."""
    machine = state.machine
    if machine is None:
        return ()
    parts = []
    if machine.cpu_percent is not None:
        parts.append(f"CPU {machine.cpu_percent:.0f}% ({machine.cpus} cores)")
    parts.append(_memory("memory", machine.memory_used, machine.memory_total))
    several = len(machine.gpus) > 1
    for number, gpu in enumerate(machine.gpus):
        others = gpu.other_users
        words = (
            f"GPU {number}" if several else "",  # as nvidia-smi numbers them
            printable(gpu.name),
            "" if gpu.percent is None else f"{gpu.percent:.0f}%",
            _memory("", gpu.memory_used, gpu.memory_total),
            "" if gpu.celsius is None else f"{gpu.celsius:.0f} C",
            "" if gpu.watts is None else f"{gpu.watts:.0f} W",
            printable(f"shared with {', '.join(others)}") if others else "",
        )
        parts.append(" ".join(word for word in words if word))
    return row(Span(" " + "   ".join(part for part in parts if part), "faint"))


def _memory(name: str, used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return ""
    return f"{name} {used / 2**30:.1f}/{total / 2**30:.0f} GiB".strip()


def _title(name: str) -> str:
    return NAMES.get(name) or printable(name)
