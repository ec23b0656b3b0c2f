"""The overlaid runs in numbers, below those of the open run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygpt import formatting
from tinygpt.escape import printable
from tinygpt.run.spread import Spread, spread
from tinygpt_tui.monitor.history import VariantHistory
from tinygpt_tui.monitor.overlays import Overlay, tokens_differ
from tinygpt_tui.render.cells import BEST, Row, Span, row, width
from tinygpt_tui.render.table import Column, table
from tinygpt_tui.theme import NAMES
from tinygpt_tui.train.curves import evaluation_x, train_x
from tinygpt_tui.train.state import TrainState, XAxis

NAME = 14
"""Cells for the names of runs, at least."""
VALUE = 7
"""Cells of a loss or a difference, with four decimals."""
MEAN = 14
"""Cells of a mean with its standard deviation."""


def overlay_rows(state: TrainState, columns: int) -> list[Row]:
    """A heading, and a row per overlaid run: of each variant the validation loss at the crosshair,
    else at the latest evaluation of the open run; the best one; and both minus those of the open
    run. Negative is better.

    At one x, since a run that is still being trained is not compared with the end of another. Of
    several runs: mean and standard deviation over those that have reached that x, and how many.
    """
    at = _place(state)
    variants = list(state.history.variants) or list(NAMES)
    gap = 2 if columns >= 150 else 1
    several = any(overlay.others for overlay in state.overlays)
    loss = MEAN if several else VALUE
    values = [column for v in variants for column in _value_columns(v, loss, ascii=state.ascii)]
    if several:
        values.append(Column("runs", 5, "right"))
    step = Column("step", 8, "right", 4)
    rows = [list(_cells(state, overlay, variants, at)) for overlay in state.overlays]
    title = _title(state, at)
    longest = max([len(title), *(width(row(cells[0])) for cells in rows)])
    free = columns - sum(column.width + gap for column in values)
    name = Column(title, max(NAME, min(longest, free)))
    return table([name, *values, step], rows, columns, gap)


def _place(state: TrainState) -> float | None:
    """The x at which runs are compared: see `overlay_rows`. None without evaluations."""
    axis = state.options.x_axis
    if state.options.cursor is not None:
        return state.options.cursor
    known = [x for v in state.history.variants.values() if len(x := evaluation_x(v, axis))]
    return max((float(x[-1]) for x in known), default=None)


def _title(state: TrainState, at: float | None) -> str:
    """The x at which runs are compared."""
    if at is None:
        return "overlaid runs"
    if tokens_differ(state.history, state.overlays):
        return f"bpb {_where(state, at)}"
    return _where(state, at)


def _where(state: TrainState, at: float) -> str:
    match state.options.x_axis:
        case "steps":
            return f"at step {at:,.0f}"
        case "epochs":
            return f"at epoch {at:.2f}"
        case "tokens":
            return f"at {formatting.count(at)} tok"
        case "time":
            return f"after {formatting.duration(at)}"


def _value_columns(variant: str, loss: int, *, ascii: bool) -> list[Column]:
    """Of one variant, with `loss` cells for a loss: how its curves are drawn is part of the
    heading."""
    title = NAMES.get(variant) or printable(variant)
    line = "" if ascii else " ┄" if variant == "moe" else " ─"
    return [
        Column(title + line, loss, "right"),
        Column("- open", VALUE, "right"),
        Column(f"{BEST}{title}", loss, "right", 2 + (variant == "moe")),
        Column("- open", VALUE, "right", 2 + (variant == "moe")),
    ]


def _cells(
    state: TrainState, overlay: Overlay, variants: list[str], at: float | None
) -> Iterator[Span]:
    yield Span(f"{overlay.number} {printable(overlay.name)}", overlay.style)
    axis = state.options.x_axis
    bits = tokens_differ(state.history, state.overlays)
    counts = [0]
    for name in variants:
        own = state.history.variants.get(name)
        runs = [run.variants[name] for run in overlay.histories if name in run.variants]
        if not runs:
            yield from [Span("")] * 4
            continue
        reached = [run for run in runs if _reaches(run, axis, at)]
        counts.append(len(reached))
        here = spread([_loss_at(run, axis, at) * _unit(run, bits=bits) for run in reached or runs])
        both = reached and own is not None and _reaches(own, axis, at)
        own_unit = _unit(own, bits=bits)
        own_here = _loss_at(own, axis, at) * own_unit if both else math.nan
        best = spread([_best(run) * _unit(run, bits=bits) for run in runs])
        for loss, open_loss in ((here, own_here), (best, _best(own) * own_unit)):
            yield Span(_text(loss), "text")
            if not overlay.is_comparable(state.history):
                yield Span("corpus", "warn")
            else:
                mean = math.nan if loss.mean is None else loss.mean
                yield _difference(mean - open_loss, overlay.style, name)
    if any(each.others for each in state.overlays):
        yield Span(_runs(max(counts), len(overlay.histories)), "muted")
    yield Span(f"{max(run.step for run in overlay.histories):,}", "muted")


def _unit(variant: VariantHistory | None, *, bits: bool) -> float:
    """The factor from nats per token to what is shown: with `bits`, bits per byte."""
    return variant.bits_per_byte if bits and variant else 1.0


def _runs(reached: int, count: int) -> str:
    """How many of the runs a mean is over: "3", or "2/3" if not all have come so far."""
    return f"{count}" if reached == count else f"{reached}/{count}"


def _loss_at(variant: VariantHistory | None, axis: XAxis, at: float | None) -> float:
    """The validation loss of the last evaluation up to `at`; NaN without one."""
    if at is None or variant is None:
        return math.nan
    x = evaluation_x(variant, axis)
    known = [r.val_loss for r, place in zip(variant.evaluations, x, strict=True) if place <= at]
    return known[-1] if known else math.nan


def _reaches(variant: VariantHistory, axis: XAxis, at: float | None) -> bool:
    x = train_x(variant, axis)
    return at is not None and len(x) > 0 and at <= float(x[-1])


def _best(variant: VariantHistory | None) -> float:
    """The best validation loss; NaN without one."""
    return variant.evaluated.best_val_loss if variant and variant.evaluated else math.nan


def _difference(difference: float, overlay: str, own: str) -> Span:
    """A loss of an overlay minus that of the open run, in the style of the better one."""
    if not math.isfinite(difference):
        return Span("-", "muted")
    text = f"{difference:+z.4f}"
    return Span(text, "text" if float(text) == 0 else overlay if float(text) < 0 else own)


def _text(loss: Spread) -> str:
    if loss.mean is not None and loss.mean >= 100:
        return formatting.loss(loss.mean)
    return loss.text().replace("± ", "±")
