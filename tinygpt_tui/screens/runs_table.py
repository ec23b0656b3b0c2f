"""The list of runs as text: the columns that fit, and details of one run."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tinygpt import formatting
from tinygpt.escape import printable
from tinygpt.run import RunInfo
from tinygpt_tui.monitor.summary import Summary
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.theme import NAMES

WIDE = 96
"""From this many cells on there is room for the corpus and the planned steps."""
NARROW = 62
"""Below this many cells there is no room for the age."""
HEADINGS = {
    "mark": "",
    "state": "state",
    "name": "run",
    "step": "step",
    "dense": "Dense",
    "moe": "MoE",
    "corpus": "corpus",
    "age": "started",
}
_RIGHT_ALIGNED = ("step", "dense", "moe", "age")


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run in the list."""

    run: RunInfo
    summary: Summary


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell, and its style in the palette."""

    text: str
    style: str = ""


def heading(width: int) -> str:
    """The names of the columns."""
    return "".join(cell.text for cell in _lay_out(width, {n: Cell(t) for n, t in HEADINGS.items()}))


def row_cells(
    entry: RunEntry, width: int, *, is_open: bool, is_marked: bool, now: float
) -> list[Cell]:
    """One run as cells, padded to the widths of their columns."""
    run, numbers = entry.run, entry.summary
    glyph, word, look = LOOKS[run.state.state]
    status = run.state.status
    step = max(numbers.step or 0, status.step if status else 0)
    planned = f"/{numbers.steps:,}" if width >= WIDE and numbers.steps else ""
    mark = Cell("▸", "accent") if is_open else Cell("+", "strong") if is_marked else Cell("")
    return _lay_out(
        width,
        {
            "mark": mark,
            "state": Cell(f"{glyph} {word}", look),
            "name": Cell(printable(run.name), "strong" if run.state.active else "text"),
            "step": Cell(f"{step:,}{planned}", "text"),
            "dense": Cell(formatting.loss(numbers.best.get("dense")), "dense"),
            "moe": Cell(formatting.loss(numbers.best.get("moe")), "moe"),
            "corpus": Cell(printable(run.corpus or "-"), "muted"),
            "age": Cell(age(now - run.created), "muted"),
        },
    )


def details(entry: RunEntry) -> list[str]:
    """Three lines about a run: its models; date, duration, device and corpus; its path."""
    numbers, run = entry.summary, entry.run
    settings = numbers.settings
    gpt = settings.get("gpt") if isinstance(settings.get("gpt"), dict) else None
    models = []
    if gpt:
        shape = "/".join(str(gpt.get(key, "?")) for key in ("layers", "heads", "width"))
        models.append(f"{settings.get('preset', '')} {shape}, context {gpt.get('context', '?')}")
    for variant, (total, active) in numbers.parameters.items():
        active_part = f" ({formatting.count(active)} active)" if active < total else ""
        models.append(f"{NAMES.get(variant, variant)} {formatting.count(total)}{active_part}")
    duration = None if numbers.wall_seconds is None else formatting.duration(numbers.wall_seconds)
    facts = [
        f"started {time.strftime('%b %d %H:%M', time.localtime(run.created))}",
        " on ".join(filter(None, (duration, numbers.device))),
        run.corpus or "",
    ]
    return [
        printable(" · ".join(models)),
        printable(" · ".join(filter(None, facts))),
        printable(str(run.path)),
    ]


def age(seconds: float) -> str:
    """An age in a few characters: "now", "5 min", "3 h", "12 d"."""
    if seconds < 60:
        return "now"
    for unit, name, until in ((60, "min", 3600), (3600, "h", 86400 * 2)):
        if seconds < until:
            return f"{int(seconds) // unit} {name}"
    return f"{int(seconds) // 86400} d"


def _lay_out(width: int, cells: dict[str, Cell]) -> list[Cell]:
    """Cells padded or cut to their columns, gaps included; a narrow list has fewer columns."""
    is_wide = width >= WIDE
    sizes = {"mark": 1, "state": 12, "name": 0, "step": 15 if is_wide else 9, "dense": 6, "moe": 6}
    sizes |= {"corpus": 20} if is_wide else {}
    sizes |= {"age": 7} if width >= NARROW else {}
    *_, last = sizes
    sizes["name"] = max(6, width - sum(sizes.values()) - 2 * (len(sizes) - 1) - 1)
    return [
        Cell(
            _fit(cells[name].text, size, right=name in _RIGHT_ALIGNED) + "  " * (name != last),
            cells[name].style,
        )
        for name, size in sizes.items()
    ]


def _fit(text: str, size: int, *, right: bool) -> str:
    missing = size - cell_len(text)
    if missing < 0:
        return set_cell_size(text, size - 1) + "…"
    return " " * missing + text if right else text + " " * missing
