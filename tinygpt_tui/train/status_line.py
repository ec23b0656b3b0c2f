"""The line below the charts: crosshair, errors, state and hints, whichever matters most."""

from __future__ import annotations

from collections.abc import Mapping

from tinygpt import formatting, smoothing
from tinygpt.data.corpus import FALLBACK_WARNING, is_fallback
from tinygpt.escape import printable
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.seed_spread import SeedSpread
from tinygpt_tui.render.cells import Row, Span, row, width
from tinygpt_tui.train.crosshair import crosshair_line
from tinygpt_tui.train.lower_panels import has_content
from tinygpt_tui.train.state import TrainState
from tinygpt_tui.train.texts import title


def status_line(state: TrainState, columns: int = 80) -> Row:
    """The line below the charts: the most important of crosshair, errors, state and hints, and
    which variants are overfitting."""
    if state.options.cursor is not None and state.history.variants:
        return crosshair_line(state, columns)
    if message := state.error or state.note:
        return row(Span(" " + printable(message), "warn"))
    run = state.run_state
    if run and run.state in ("failed", "killed", "stopped", "stalled", "unreadable"):
        hint = "  u resumes it" if run.resumable else ""
        known = row(Span(f" {printable(run.reason)}", "warn"), Span(hint, "key"))
        warning = overfitting_warning(state.history, columns - width(known) - 1)
        return row(*known, " ", *warning) if warning else known
    if run and run.state == "queued":
        text = printable(run.reason).partition(" (")[0]
        return row(Span(f" Queued: {text}, also when this app is closed", "warn"))
    if run and run.active and (run.silent or (run.status and run.status.error)):
        return row(Span(f" {printable(run.reason)}", "warn"))
    warning = row(*substitute_warning(state.history), *overfitting_warning(state.history, columns))
    if state.history.end and run and run.state == "done":
        rest = closing_line(state, columns)
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
    found = {title(n): known for n, v in history.variants.items() if (known := v.overfitting)}
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


def closing_line(state: TrainState, columns: int = 80) -> Row:
    """How the run ended, which model is better and by how much, whether that is more than another
    seed would change, and what it took: as many whole facts as fit."""
    history = state.history
    parts: list[Span | str] = [Span(f" Finished: {_end_reason(history)}", "good")]
    losses = {name: v.evaluated.val_loss for name, v in history.variants.items() if v.evaluated}
    if losses.keys() >= {"dense", "moe"}:
        parts += ["   ", _verdict(losses)]
        if state.seeds:
            parts.append(Span(f"   {_reliability(losses, state.seeds)}", "text"))
            parts.append(Span(f"; {_over_seeds(state.seeds)}", "faint"))
        times = {name: history.variants[name].seconds.values for name in ("dense", "moe")}
        if all(len(t) and t[-1] > 0 for t in times.values()):
            ratio = float(times["moe"][-1] / times["dense"][-1])
            took = f"training time: {ratio:.2f}x Dense"
            if width(row(*parts)) + len(took) + 7 > columns:
                took = took.removeprefix("training ")
            parts.append(Span(f"   MoE {took}", "muted"))
    first, *others = row(*parts)
    return _followed_by(row(*others), (first,), columns)


def _verdict(losses: Mapping[str, float]) -> Span:
    """Which model has the lower validation loss, as far as four decimals tell."""
    better, worse = sorted(("dense", "moe"), key=losses.__getitem__)
    gap = f"{losses[worse] - losses[better]:.4f}"
    if float(gap) == 0:
        return Span("Dense and MoE have equal losses", "text")
    return Span(f"{title(better)} is better by {gap} nats", better)


def _reliability(losses: Mapping[str, float], seeds: SeedSpread) -> str:
    """Whether the difference of one run is more than what a seed changes, by the study."""
    gap = abs(losses["dense"] - losses["moe"])
    return f"{'beyond' if gap > seeds.noise else 'within'} seed noise {seeds.noise:.3f}"


def _over_seeds(seeds: SeedSpread) -> str:
    better = title("moe" if seeds.mean > 0 else "dense")
    return f"{seeds.seeds} seeds: {better} by {abs(seeds.mean):.3f}"


def _end_reason(history: History) -> str:
    """The number of steps if all planned ones were taken, else the recorded reason."""
    assert history.end is not None
    planned = history.start.steps if history.start else None
    taken = [variant.last.step for variant in history.variants.values() if variant.last]
    if planned and taken and min(taken) >= planned:
        return f"{planned:,} steps"
    return printable(history.end.reason)


def _hint_line(state: TrainState) -> Row:
    options = state.options
    parts = [smoothing.name(options.span)]
    if state.history.variants and not has_content(state):
        parts = ["samples and expert load appear after the first evaluation"]
    if (several := state.history.processes) > 1:
        parts.insert(0, f"{several} processes")
    parts.append("auto-scroll" if options.window is None else "zoomed (0 shows all)")
    if state.history.start and (sample := state.history.start.val_tokens):
        parts.append(f"val: a fixed sample of {formatting.count(sample)} tokens")
    if options.hidden:
        parts.append("hidden: " + ", ".join(sorted(options.hidden)))
    return row(Span(" " + " · ".join(parts), "muted"))
