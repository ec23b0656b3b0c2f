"""The numbers of both variants and their difference, as a table."""

from __future__ import annotations

from dataclasses import replace

from tinygpt import formatting, smoothing
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.render.bars import progress
from tinygpt_tui.render.cells import BEST, Row, Span
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.train.eta import seconds_left
from tinygpt_tui.train.state import TrainState
from tinygpt_tui.train.texts import digits, title

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
    Column("train-eval", 10, "right", 12),
    Column("active", 6, "right", 9),
    Column("params", 6, "right", 9),
)
_TRAIN, _VAL, _PPL, _BEST = 4, 5, 6, 8
WIDE = 150
"""Columns from which headings have the span of averages, and columns a larger distance."""


def table_lines(state: TrainState) -> int:
    """The rows of the table."""
    variants = state.history.variants
    return 1 + len(variants) + _is_compared(state.history) if variants else 0


def table_rows(state: TrainState, columns: int) -> list[Row]:
    """One row per variant, and once both are evaluated, one for the difference."""
    rows = [variant_cells(state, name, v) for name, v in state.history.variants.items()]
    if _is_compared(state.history):
        rows.append(_gap_cells(state.history))
    headings = list(COLUMNS)
    if columns >= WIDE:
        name = smoothing.name(state.options.span)
        headings[_TRAIN] = replace(headings[_TRAIN], heading=name, width=len(name))
    return table(headings, rows, columns, gap=2 if columns >= WIDE else 1)


def _is_compared(history: History) -> bool:
    """Whether there is a row for the difference."""
    return len(history.variants) > 1 and any(v.evaluated for v in history.variants.values())


def variant_cells(state: TrainState, name: str, variant: VariantHistory) -> list[Span]:
    """One variant's numbers, in the order of COLUMNS."""
    last, evaluated = variant.last, variant.evaluated
    counts = state.history.start.models.get(name, {}) if state.history.start else {}
    best = digits(evaluated.best_val_loss if evaluated else None, 4)
    bar = progress(fraction_done(state, variant), 10, name)
    progress_cell = Span("".join(span.text for span in bar), bar[0].style)
    texts = (
        _integer(last.step if last else None),
        formatting.duration(seconds_left(state, variant)),
        formatting.loss(train_loss(variant, state.options.span)),
        digits(evaluated.val_loss if evaluated else None, 4),
        digits(evaluated.perplexity if evaluated else None, 2),
        digits(evaluated.bits_per_char if evaluated else None, 3),
        best if best == "-" else f"{BEST}{best}",
        _integer(evaluated.best_step if evaluated else None),
        digits(last.epoch if last else None, 2),
        digits(last.lr if last else None, 4),
        digits(last.grad_norm if last else None, 3),
        formatting.count(variant.tokens_per_second),
        digits(evaluated.train_loss if evaluated else None, 4),
        formatting.count(counts.get("params_active")),
        formatting.count(counts.get("params_total")),
    )
    first = len(COLUMNS) - len(texts)
    cells = [Span(t, "strong" if i == _VAL else "text") for i, t in enumerate(texts, first)]
    if variant.overfitting:
        cells[_BEST - first] = Span(cells[_BEST - first].text, "warn")
    return [Span(title(name), f"{name}.bold"), progress_cell, *cells]


def train_loss(variant: VariantHistory, span: int) -> float | None:
    """The exponential average of the batch losses up to now; None without records."""
    averages = variant.average("loss", span)
    return float(averages[-1]) if len(averages) else None


def _integer(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if value < 1_000_000 else formatting.count(value)


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
