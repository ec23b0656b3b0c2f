"""Groups in the list of runs: their rows, above those of their runs, and what is marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinygpt import formatting
from tinygpt.escape import printable
from tinygpt.run import VARIANTS
from tinygpt.run.spread import Spread, spread
from tinygpt_tui.monitor.run_groups import SameSetting, by_setting, without_alone
from tinygpt_tui.screens.runs_table import (
    Cell,
    RunEntry,
    age,
    best_loss,
    lay_out,
    mark_cell,
    row_cells,
)
from tinygpt_tui.theme import NAMES


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group in the list, with those of its runs that are listed."""

    name: str
    runs: tuple[RunEntry, ...]
    folded: bool

    @property
    def paths(self) -> list[Path]:
        """The directories of its runs."""
        return [entry.run.path for entry in self.runs]

    @property
    def done(self) -> list[RunEntry]:
        """The runs that are finished."""
        return [entry for entry in self.runs if entry.run.state.state == "done"]

    def best(self, variant: str) -> list[tuple[str, Spread]]:
        """Each setting and its best validation loss over its finished runs, the lowest first."""
        losses: dict[str, list[float | None]] = {}
        for entry in self.done:
            assert entry.place is not None
            losses.setdefault(entry.place.setting, []).append(entry.summary.best.get(variant))
        found = [(setting, spread(values)) for setting, values in losses.items()]
        known = [(setting, loss) for setting, loss in found if loss.mean is not None]
        return sorted(known, key=lambda each: each[1].mean or 0.0)


def with_groups(
    entries: Iterable[RunEntry], unfolded: Collection[str], *, all_unfolded: bool = False
) -> list[GroupEntry | RunEntry]:
    """The rows of the list: each group stands where the first of its runs would, and if it is
    unfolded, these follow it, in their order."""
    listed: dict[str, list[RunEntry]] = {}
    for entry in entries:
        # A run is never called like a group: both are folders.
        name = entry.place.group if entry.place else entry.run.name
        listed.setdefault(name, []).append(entry)
    rows: list[GroupEntry | RunEntry] = []
    for name, runs in listed.items():
        if runs[0].place is None:
            rows += runs
            continue
        folded = not all_unfolded and name not in unfolded
        rows.append(GroupEntry(name, tuple(runs), folded))
        rows += [] if folded else runs
    return rows


def group_cells(group: GroupEntry, width: int, mark: Cell, *, now: float) -> list[Cell]:
    """One group as cells: of its losses, the lowest mean of any setting."""
    best = {variant: group.best(variant) for variant in VARIANTS}
    losses = {v: best_loss(found[0][1].mean if found else None) for v, found in best.items()}
    active = any(entry.run.state.active for entry in group.runs)
    wall = [entry.summary.wall_seconds for entry in group.runs]
    cells = {
        "mark": mark,
        "name": Cell(f"{'[+]' if group.folded else '[-]'} {printable(group.name)}", "strong"),
        "state": Cell(f"{len(group.done)}/{len(group.runs)} done", "good" if active else "muted"),
        "preset": Cell(_common(entry.preset for entry in group.runs), "muted"),
        "step": Cell(""),
        "planned": Cell(""),
        "dense": Cell(losses["dense"], "dense"),
        "moe": Cell(losses["moe"], "moe"),
        "time": Cell(formatting.duration(sum(seconds or 0.0 for seconds in wall)), "muted"),
        "started": Cell(age(now - min(entry.run.created for entry in group.runs)), "muted"),
        "corpus": Cell(_common(entry.run.corpus for entry in group.runs), "muted"),
        "device": Cell(_common(entry.summary.device for entry in group.runs), "muted"),
    }
    return lay_out(width, cells)


def _common(values: Iterable[str | None]) -> str:
    """What all runs have; "-" if they differ."""
    found = set(values)
    return printable(found.pop() or "-") if len(found) == 1 else "-"


def group_details(group: GroupEntry) -> Iterator[str]:
    """Three lines about a group: how many runs, and of each variant the settings by their mean."""
    settings = {entry.place.setting for entry in group.runs if entry.place}
    words = [f"group of {len(group.runs)} runs"]
    words += [f"{len(settings)} settings"] if len(settings) > 1 else []
    yield " · ".join([*words, "best loss, mean ± sd over seeds:"])
    for variant in VARIANTS:
        best = group.best(variant)
        texts = [
            f"{printable(setting)} {loss.text()}" if len(settings) > 1 else loss.text()
            for setting, loss in best
        ]
        yield f"{NAMES[variant]} {' · '.join(texts) or '-'}"


@dataclass
class Marks:
    """The marked runs, in the order in which they were marked. `current` is the open one."""

    current: Path | None
    paths: list[Path] = field(default_factory=list)
    entries: Sequence[RunEntry] = ()

    def update(self, entries: Sequence[RunEntry]) -> None:
        """These runs are there now; marks of others are dropped."""
        self.entries = entries
        present = {entry.run.path for entry in entries}
        self.paths = [path for path in self.paths if path in present]

    def toggle(self, paths: Sequence[Path]) -> None:
        """Mark these runs; if all of them are marked, no longer."""
        if all(path in self.paths for path in paths):
            self.paths = [path for path in self.paths if path not in paths]
        else:
            self.paths += [path for path in paths if path not in self.paths]

    def rename(self, old: Path, new: Path) -> None:
        """A run has another directory now."""
        self.paths = [new if path == old else path for path in self.paths]
        self.current = new if self.current == old else self.current

    def overlaid(self, paths: Sequence[Path]) -> list[SameSetting]:
        """What is overlaid if these runs are: see `without_alone`."""
        places = {entry.run.path: entry.place for entry in self.entries}
        return by_setting(without_alone(paths, self.current, places), places)

    def number(self, paths: Sequence[Path]) -> int | None:
        """The number that marked runs have as one overlay; 0 for several or none, as for the open
        run; None if not all of them are marked."""
        if not all(path in self.paths for path in paths):
            return None
        for number, runs in enumerate(self.overlaid(self.paths), 1):
            if all(path in runs.paths for path in paths):
                return number
        return 0


def cells_of(entry: GroupEntry | RunEntry, width: int, marks: Marks, *, now: float) -> list[Cell]:
    """A row of the list as cells."""
    mark = mark_cell(marks.number(entry.paths), is_open=entry.paths == [marks.current])
    if isinstance(entry, GroupEntry):
        return group_cells(entry, width, mark, now=now)
    return row_cells(entry, width, mark, now=now)
