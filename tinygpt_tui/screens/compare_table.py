"""Several runs side by side as rows of cells: the settings that differ, and the results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tinygpt import formatting
from tinygpt.config import build, dotted_fields, flatten, from_tables
from tinygpt.errors import TinyGPTError
from tinygpt.escape import printable
from tinygpt.run import VARIANTS, RunState
from tinygpt.run.spread import Spread, spread
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import differ_in_tokens, validation_text
from tinygpt_tui.render.cells import BEST, Row, Span, fit, row, width
from tinygpt_tui.render.run_state import badge
from tinygpt_tui.theme import NAMES

LABEL, COLUMN, WIDEST = 30, 11, 34
"""Cells of the labels at most, and of a run at least and at most: two runs stand near each other in
a wide window too."""
VALUE, MEAN = 9, 17
"""Cells of a value, and of a mean with its standard deviation. Where there are `VALUE` more,
differences stand beside, else below."""


class OneOfSeveral(NamedTuple):
    """One more run of those that share a column."""

    state: RunState
    seed: object
    history: History


@dataclass(frozen=True)
class ComparedRun:
    """A run as it is compared, or several that differ in their seed alone. `tables` is its run.toml
    as nested tables."""

    name: str
    state: RunState
    tables: Mapping[str, Any]
    history: History
    note: str = ""
    """The first line of the user's note on it."""
    others: tuple[OneOfSeveral, ...] = ()

    @property
    def histories(self) -> list[History]:
        """The history of each run."""
        return [self.history, *(other.history for other in self.others)]

    @property
    def settings(self) -> dict[str, object]:
        """All settings by dotted name; as written, if a newer version wrote them. Of several runs,
        `seed` is all their seeds."""
        values = from_tables(self.tables)
        with suppress(TinyGPTError):
            values = dict(flatten(build(values, preset_applies=False)))
        if self.others:
            seeds = [values.get("seed"), *(other.seed for other in self.others)]
            values["seed"] = ", ".join(map(str, seeds))
        return values

    @property
    def corpus(self) -> tuple[str, str]:
        """Name of its corpus and what tells its validation text, empty while unknown."""
        start = self.history.start
        known = self.tables.get("corpus") or (start.corpus if start else {})
        return str(known.get("name", "")), " ".join(validation_text(known)).strip()


class Result(NamedTuple):
    """A number of each run, None where it is unknown."""

    label: str
    values: list[float | None]
    text: Callable[[float], str]
    best: Callable[[list[float]], float] | None = None
    """Which of the values is the best one: `min` or `max`; None if none is better."""
    differs_in: Literal["", "nats", "percent"] = ""
    """The unit of differences to the baseline; empty if they say no more than the values."""
    stds: Sequence[float | None] = ()
    """The standard deviation of each value that is a mean of several runs."""


class Line(NamedTuple):
    """A label, and a cell per run: a value with its difference to that of the baseline."""

    label: Span
    cells: Sequence[tuple[Span, Span | None]] = ()


class Comparison(NamedTuple):
    """Rows of equal width."""

    head: list[Row]
    """Names and states of the runs."""
    body: list[Row]
    scrolled: int
    """How many runs are hidden between the baseline and the next one shown."""


def comparison(
    runs: Sequence[ComparedRun], columns: int, *, scrolled: int = 0, all_settings: bool = False
) -> Comparison:
    """At least two runs side by side, in rows `columns` wide.

    The first of `runs` is the baseline of all differences. If not all of them fit, it stays in
    view, and up to `scrolled` runs after it are skipped.
    """
    lines = [*_settings(runs, all_settings=all_settings), *_best_losses(runs)]
    for variant in VARIANTS:
        lines += _section(Span(NAMES[variant], f"{variant}.bold"), results_of(runs, variant), runs)
    longest = max((width(row(line.label)) for line in lines if line.cells), default=0) + 2
    value, least = (MEAN, MEAN) if any(run.others for run in runs) else (VALUE, COLUMN)
    label = min(LABEL, longest, max(1, columns - 2 * least))
    fitting = max(1, min(len(runs), (columns - label) // least))
    scrolled = min(scrolled, len(runs) - fitting)
    shown = [0, *range(1 + scrolled, scrolled + fitting)]
    size = max(1, min(WIDEST, (columns - label) // fitting))
    names = Line(Span(""), [(_name(run, i), None) for i, run in enumerate(runs)])
    states = Line(
        Span(_hidden(len(runs) - fitting), "muted"), [(_state(run), None) for run in runs]
    )
    sizes = Sizes(columns, label, size, value)
    head = [cells for line in (names, states) for cells in _drawn(line, shown, sizes)]
    body = [cells for line in lines for cells in _drawn(line, shown, sizes)]
    return Comparison(head, body, scrolled)


def _name(run: ComparedRun, index: int) -> Span:
    return Span(printable(run.name), "strong" if index == 0 else "text")


def _state(run: ComparedRun) -> Span:
    if run.others:
        states = [run.state.state, *(other.state.state for other in run.others)]
        return Span(f"{states.count('done')}/{len(states)} done", "muted")
    (look,) = badge(run.state)
    return look


def _hidden(count: int) -> str:
    return f"← → {count} more" if count else ""


class Sizes(NamedTuple):
    """Cells of a row, of its label, of each run, and of a value that has a difference beside it."""

    row: int
    label: int
    run: int
    value: int


def _drawn(line: Line, shown: Sequence[int], sizes: Sizes) -> Iterator[Row]:
    """A line as one row or, if there are differences but no room beside the values, as two."""
    cells = [line.cells[index] for index in shown] if line.cells else []
    if not cells:
        yield fit(row(line.label), sizes.row)
        return
    beside = sizes.run - sizes.value >= VALUE
    values: list[Span | str] = [*_cut(line.label, sizes.label)]
    below: list[Span | str] = [*_cut(Span("  - baseline", "faint"), sizes.label)]
    for value, difference in cells:
        if difference is None or not beside:
            values += _cut(value, sizes.run)
        else:
            values += [*_cut(value, sizes.value), *_cut(difference, sizes.run - sizes.value)]
        below += _cut(_indented(difference or Span("")), sizes.run)
    yield fit(row(*values), sizes.row)
    if not beside and any(difference and difference.text for _, difference in cells):
        yield fit(row(*below), sizes.row)


def _indented(span: Span) -> Span:
    return Span(f" {span.text}", span.style)


def _cut(span: Span, size: int) -> Row:
    """The span in exactly `size` cells, the last of which separates it from the next one."""
    if width((span,)) < size:
        return fit((span,), size)
    return row(*fit((span,), max(0, size - 2)), Span("…", span.style), " ")[: max(1, size)]


def _settings(runs: Sequence[ComparedRun], *, all_settings: bool) -> Iterator[Line]:
    """The settings that differ, or all of them, in bold what differs from the baseline."""
    settings = differing_settings(runs, all_settings=all_settings)
    if any(run.note for run in runs):
        notes = [(Span(f" {printable(run.note)}", "text"), None) for run in runs]
        yield Line(Span("  note", "muted"), notes)
        yield Line(Span(""))
    yield Line(Span("All settings" if all_settings else "Settings that differ", "accent"))
    if not settings:
        yield Line(Span("  none", "muted"))
    for name, texts in settings.items():
        cells = [Span(f" {text}", "text" if text == texts[0] else "strong") for text in texts]
        yield Line(Span(f"  {name}", "muted"), [(cell, None) for cell in cells])


def differing_settings(
    runs: Sequence[ComparedRun], *, all_settings: bool = False
) -> dict[str, list[str]]:
    """By dotted name the text of each run's value, of those settings that differ; "-" if unset.

    `data` is left out, since one corpus may lie at two places; the corpus itself is compared, and
    the device that was used.
    """
    settings = [run.settings for run in runs]
    known = [name for name, _ in dotted_fields()]
    others = sorted({name for values in settings for name in values} - set(known))
    found = {
        name: [setting_text(values.get(name)) for values in settings]
        for name in (*known, *others)
        if name != "data" and any(name in values for values in settings)
    }
    names, hashes = zip(*(run.corpus for run in runs), strict=True)
    ambiguous = len(set(names)) < len(set(hashes))
    found["corpus"] = [
        printable(f"{name} {sha[:6]}" if ambiguous else name) or "-"
        for name, sha in zip(names, hashes, strict=True)
    ]
    starts = [run.history.start for run in runs]
    found["trained on"] = [printable(start.device) if start else "-" for start in starts]
    return {name: texts for name, texts in found.items() if all_settings or len(set(texts)) > 1}


def setting_text(value: object) -> str:
    """A value as it is shown, "-" for none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None else printable(str(value)) or '""'


def _best_losses(runs: Sequence[ComparedRun]) -> Iterator[Line]:
    """What it comes to: the best validation loss of each variant; in bits per byte if the runs have
    different tokens."""
    results, bits = [], _tokens_differ(runs)
    for variant in VARIANTS:
        best = _values(runs, variant, "best_bits" if bits else "best")
        results.append(_result(NAMES[variant], best, _loss, min, "nats"))
    title = "Best validation loss" + ", bits per byte" * bits
    yield from _section(Span(title, "accent"), results, runs)
    if not _comparable(runs):
        yield Line(Span("  Trained on different corpora: these losses cannot be compared", "warn"))


def _section(title: Span, results: Sequence[Result], runs: Sequence[ComparedRun]) -> list[Line]:
    """A title and the results of which any is known; nothing if none is."""
    known = [result for result in results if any(value is not None for value in result.values)]
    lines = [_result_line(result, comparable=_comparable(runs)) for result in known]
    return [Line(Span("")), Line(title), *lines] if lines else []


def _comparable(runs: Sequence[ComparedRun]) -> bool:
    """Whether all losses are over the same validation split, as far as known."""
    return len({sha for _, sha in (run.corpus for run in runs) if sha}) < 2


def _tokens_differ(runs: Sequence[ComparedRun]) -> bool:
    return differ_in_tokens(history for run in runs for history in run.histories)


def results_of(runs: Sequence[ComparedRun], variant: str) -> list[Result]:
    """The numbers of one variant besides its best validation loss."""

    def result(label: str, name: str, *how: Any) -> Result:
        return _result(label, _values(runs, variant, name), *how)

    last = ("last validation loss", "last")
    if _tokens_differ(runs):
        last = ("last, bits per byte", "last_bits")
    return [
        result("best at step", "best_step", _count),
        result(*last, _loss, min, "nats"),
        result("overfitting since step", "overfitting", _count),
        result("steps", "steps", _count),
        result("tokens", "tokens", formatting.count),
        result("training time", "seconds", formatting.duration, None, "percent"),
        result("tokens/s", "speed", formatting.count, max, "percent"),
        result("active parameters", "active", formatting.count),
        result("parameters", "total", formatting.count),
    ]


def _result(
    label: str, values: Sequence[Spread], text: Callable[[float], str], *how: Any
) -> Result:
    made = Result(label, [value.mean for value in values], text, *how)
    if made.differs_in != "nats":
        return made  # the deviation matters where it is asked what is better
    return made._replace(stds=[value.std for value in values])


def _values(runs: Sequence[ComparedRun], variant: str, name: str) -> list[Spread]:
    """The mean over the runs of each column."""
    return [spread([_numbers(h, variant).get(name) for h in run.histories]) for run in runs]


def _numbers(history: History, variant: str) -> dict[str, float]:
    """What is known of one variant of a run, finite values only."""
    known = history.variants.get(variant)
    if known is None:
        return {}
    numbers: dict[str, Any] = {}
    if evaluated := known.evaluated:
        numbers |= {
            "best": evaluated.best_val_loss,
            "best_step": evaluated.best_step,
            "last": evaluated.val_loss,
            "best_bits": evaluated.best_val_loss * known.bits_per_byte,
            "last_bits": evaluated.val_loss * known.bits_per_byte,
        }
    if last := known.last:
        numbers |= {"steps": last.step, "tokens": last.tokens, "seconds": last.train_seconds}
        if last.train_seconds > 0:
            numbers["speed"] = last.tokens / last.train_seconds
    if overfit := known.overfitting:
        numbers["overfitting"] = overfit.step
    counts = history.start.models.get(variant, {}) if history.start else {}
    numbers |= {"active": counts.get("params_active"), "total": counts.get("params_total")}
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _result_line(result: Result, *, comparable: bool) -> Line:
    """A result as a line; losses that are not `comparable` have neither differences nor a best."""
    texts = ["-" if value is None else result.text(value) for value in result.values]
    known = [value for value in result.values if value is not None]
    compared = comparable or result.differs_in != "nats"
    ranked = result.best if compared and len(set(texts) - {"-"}) > 1 else None
    best = result.text(ranked(known)) if ranked else None
    base = result.values[0]
    cells: list[tuple[Span, Span | None]] = []
    for index, (value, text) in enumerate(zip(result.values, texts, strict=True)):
        mark, style = (BEST, "strong") if text == best else (" ", "text")
        difference = Span("")
        if compared and index and value is not None and base is not None:
            difference = _difference(result, value, base)
        std = result.stds[index] if result.stds else None
        spread_text = "" if std is None else f" ±{std:.4f}"
        cells.append((Span(mark + text + spread_text, style), difference))
    return Line(Span(f"  {result.label}", "muted"), cells)


def _difference(result: Result, value: float, base: float) -> Span:
    """The value minus that of the baseline."""
    if result.differs_in == "nats":
        text = f"{value - base:+z.4f}"
    elif result.differs_in == "percent" and base:
        text = f"{100 * (value / base - 1):+z.0f}%"
    else:
        return Span("")
    if result.best is None or float(text.rstrip("%")) == 0:
        return Span(text, "muted")
    return Span(text, "good" if result.best([value, base]) == value else "warn")


def _loss(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else formatting.loss(value)


def _count(value: float) -> str:
    return f"{value:,.0f}"
