"""The list of runs as text: the columns that fit, and details of one run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from tinygpt import formatting
from tinygpt.escape import printable
from tinygpt.run import RunInfo, list_runs
from tinygpt.run.group import Place, place_of
from tinygpt.run.note import first_line
from tinygpt_tui.monitor.summary import Summary, summary
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.render.table import Column, choose_columns
from tinygpt_tui.theme import NAMES, OVERLAYS

COLUMNS = {
    "mark": Column("", 2, "left", 1),
    "name": Column("run", 12, "left", 0),
    "state": Column("state", 10, "left", 2),
    "preset": Column("preset", 7, "left", 6),
    "step": Column("step", 7, "right", 5),
    "planned": Column("planned", 8, "right", 11),
    "dense": Column("Dense", 6, "right", 3),
    "moe": Column("MoE", 6, "right", 4),
    "time": Column("time", 6, "right", 7),
    "started": Column("started", 8, "right", 8),
    "corpus": Column("corpus", 15, "left", 9),
    "device": Column("device", 12, "left", 10),
}
"""Each heading leaves a cell for the arrow of the sorted column."""
_GROWS = {"name": 32, "device": 28, "corpus": 24}
"""What room is left goes to these columns, in this order, up to so many cells."""
_GAP = 2


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run in the list."""

    run: RunInfo
    summary: Summary
    note: str = ""
    """The first line of the user's note on it."""
    place: Place | None = None
    """In its group, if it has one."""

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.run.name

    @property
    def paths(self) -> list[Path]:
        """The directory of the run."""
        return [self.run.path]

    @property
    def preset(self) -> str | None:
        """The preset it began with; None if unknown."""
        preset = self.summary.settings.get("preset")
        return preset if isinstance(preset, str) else None

    @property
    def step(self) -> int:
        """The latest known step."""
        status = self.run.state.status
        return max(self.summary.step or 0, status.step if status else 0)


def read_entries(out: Path) -> list[RunEntry]:
    """The runs in the folder `out`, newest first. Raises RunError if it cannot be listed."""
    return [read_entry(run) for run in list_runs(out)]


def read_entry(run: RunInfo) -> RunEntry:
    """The entry of a run, from its directory."""
    numbers = summary(run.path)
    return RunEntry(run, numbers, first_line(run.path), place_of(run.path, numbers.settings))


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell, and its style in the palette."""

    text: str
    style: str = ""


def shown_columns(width: int) -> list[str]:
    """The names of the columns that fit."""
    return list(_sizes(width))


def column_at(width: int, x: int) -> str:
    """The name of the column at a place in a list of `width`; the last one beyond all."""
    sizes = _sizes(width)
    *_, last = sizes
    for name, size in sizes.items():
        x -= size + _GAP
        if x < 0:
            return name
    return last


def heading(width: int, sorted_by: str = "", arrow: str = "") -> str:
    """The names of the columns, with the arrow at the one that the list is sorted by."""
    cells = {
        name: Cell(column.heading + (arrow if name == sorted_by else ""))
        for name, column in COLUMNS.items()
    }
    return "".join(cell.text for cell in lay_out(width, cells))


def mark_cell(number: int | None, *, is_open: bool) -> Cell:
    """What stands before a run: whether it is open, and its place among the marked ones from 1, in
    the colour of its overlay; "+" if it cannot be one. `number` None: not marked."""
    mark = "" if number is None else str(number) if 0 < number <= len(OVERLAYS) else "+"
    style = OVERLAYS[number - 1] if number and mark.isdigit() else "strong"
    return Cell(("▸" if is_open else " ") + mark, "accent" if is_open else style)


def row_cells(entry: RunEntry, width: int, mark: Cell, *, now: float) -> list[Cell]:
    """One run as cells, padded to the widths of their columns."""
    run, numbers = entry.run, entry.summary
    glyph, word, look = LOOKS[run.state.state]
    wall, corpus = formatting.duration(numbers.wall_seconds), run.corpus or "-"
    cells = {
        "mark": mark,
        "name": Cell(
            "  " * bool(entry.place) + printable(run.name), "strong" if run.state.active else "text"
        ),
        "state": Cell(f"{glyph} {word}", look),
        "preset": Cell(printable(entry.preset or "-"), "muted"),
        "step": Cell(_steps(entry.step), "text"),
        "planned": Cell(_steps(numbers.steps), "muted"),
        "dense": Cell(best_loss(numbers.best.get("dense")), "dense"),
        "moe": Cell(best_loss(numbers.best.get("moe")), "moe"),
        "time": Cell(wall, "muted"),
        "started": Cell(age(now - run.created), "muted"),
        "corpus": Cell(printable(corpus), "muted"),
        "device": Cell(printable(numbers.device or "-"), "muted"),
    }
    return lay_out(width, cells)


def best_loss(loss: float | None) -> str:
    """With four decimals, as in the Train tab: runs often differ in the third."""
    return f"{loss:.4f}" if loss is not None and abs(loss) < 10 else formatting.loss(loss)


def _steps(steps: int | None) -> str:
    if steps is None:
        return "-"
    return f"{steps:,}" if steps < 1_000_000 else formatting.count(steps)


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


def _sizes(width: int) -> dict[str, int]:
    """The columns that fit in a list of `width`, which begins and ends with a cell of its own, and
    their sizes."""
    names = list(COLUMNS)
    kept = [names[i] for i in choose_columns(list(COLUMNS.values()), width - 1, _GAP)]
    sizes = {name: COLUMNS[name].width for name in kept}
    free = width - 1 - sum(sizes.values()) - _GAP * (len(sizes) - 1)
    for name, most in _GROWS.items():
        if name in sizes:
            more = max(0, min(free, most - sizes[name]))
            sizes[name] += more
            free -= more
    sizes["name"] = max(1, sizes["name"] + free)
    return sizes


def lay_out(width: int, cells: Mapping[str, Cell]) -> list[Cell]:
    """Cells padded or cut to their columns, gaps included; a narrow list has fewer columns."""
    sizes = _sizes(width)
    *_, last = sizes
    return [
        Cell(
            _fit(cells[name].text, size, right=COLUMNS[name].align == "right")
            + " " * _GAP * (name != last),
            cells[name].style,
        )
        for name, size in sizes.items()
    ]


def _fit(text: str, size: int, *, right: bool) -> str:
    missing = size - cell_len(text)
    if missing < 0:
        return set_cell_size(text, size - 1) + "…"
    return " " * missing + text if right else text + " " * missing
