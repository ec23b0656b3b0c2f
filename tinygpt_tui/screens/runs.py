"""All runs: open one, lay several over the charts, rename, delete, resume."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tinygpt.errors import RunError, TinyGPTError
from tinygpt.escape import printable
from tinygpt.run import RunInfo, list_runs
from tinygpt.run.manage import (
    active_problem,
    delete_run,
    rename_problem,
    rename_run,
    resume_problem,
)
from tinygpt_tui.launch import cost as costs
from tinygpt_tui.monitor.summary import Summary, summary
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.screens.dialog import Ask, AskText, Dialog, hints
from tinygpt_tui.theme import NAMES, OVERLAYS

REFRESH = 2.0
"""Seconds between two looks at the folder."""


@dataclass(frozen=True, slots=True)
class RunsResult:
    """What was decided: `paths` are the run to open or to resume, or the runs to lay over it."""

    action: Literal["open", "overlay", "resume"]
    paths: tuple[Path, ...]
    overlays: tuple[Path, ...] = ()
    """The marked runs, whatever the action is."""


@dataclass(frozen=True, slots=True)
class _Entry:
    run: RunInfo
    summary: Summary


class Renamed(Message):
    """A run has another name now."""

    def __init__(self, old: Path, new: Path) -> None:
        super().__init__()
        self.old, self.new = old, new


class _Listed(Message):
    """A thread has looked at the folder."""

    def __init__(self, entries: list[_Entry], problem: str | None) -> None:
        super().__init__()
        self.entries, self.problem = entries, problem


class RunsScreen(Dialog[RunsResult]):
    """The runs of a folder, newest first, kept up to date while it is open."""

    DEFAULT_CSS = """
    RunsScreen {
        .box { width: 96%; max-width: 130; height: auto; max-height: 94%; padding: 0 1; }
        .heading { height: 1; color: $text-muted; margin-top: 1; }
        OptionList { width: 1fr; height: auto; max-height: 1fr; }
        .details { height: 5; border-top: solid $primary 40%; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,o", "mark", "overlay", show=False),
        Binding("R", "rename", "rename", show=False),
        Binding("d,delete", "delete", "delete", show=False),
        Binding("u,e", "resume", "resume", show=False),
        Binding("q", "leave", "back", show=False),
    ]

    def __init__(
        self, out: Path, *, current: Path | None = None, overlays: Sequence[Path] = ()
    ) -> None:
        """`current` is the run that is open, `overlays` those that are marked from the start."""
        super().__init__(
            "Runs, with their best validation losses",
            [],
        )
        self._out = out
        self._current = current
        self._before = tuple(overlays)
        self._marked = list(overlays)
        self._entries: list[_Entry] | None = None
        self._problem: str | None = None

    def compose(self) -> ComposeResult:
        """Headings, the runs, more about one of them."""
        yield self.box(
            Static("", classes="heading"),
            OptionList(),
            Static("", classes="details"),
        )

    def on_mount(self) -> None:
        """Look now, and every two seconds."""
        self.query_one(OptionList).focus()
        self._show_keys()
        self._show_details()
        self._look()
        self.set_interval(REFRESH, self._look)

    def on_resize(self) -> None:
        """Other columns fit."""
        self.call_after_refresh(self._show)

    # -- what the folder holds

    def _look(self) -> None:
        self.run_worker(self._list, thread=True, exclusive=True, exit_on_error=False)

    def _list(self) -> None:
        """In a thread: a folder on a network disk takes its time."""
        try:
            entries = [_Entry(run, summary(run.path)) for run in list_runs(self._out)]
        except TinyGPTError as error:
            self.post_message(_Listed([], str(error)))
        else:
            self.post_message(_Listed(entries, None))

    def on__listed(self, event: _Listed) -> None:
        """Show what changed; the cursor stays on its run."""
        self._entries, self._problem = event.entries, event.problem
        there = {entry.run.path for entry in event.entries}
        self._marked = [path for path in self._marked if path in there]
        self._show()

    def _show(self) -> None:
        runs = self.query_one(OptionList)
        width = runs.scrollable_content_region.width
        entries = self._entries
        if entries is None or width <= 0:
            return
        columns = Columns(width, wide=width >= 96)
        self.query_one(".heading", Static).update(columns.heading())
        names = [entry.run.name for entry in entries]
        rows = [self._row(entry, columns) for entry in entries]
        if [option.id for option in runs.options] == names:
            for index, text in enumerate(rows):
                if runs.get_option_at_index(index).prompt != text:
                    runs.replace_option_prompt_at_index(index, text)
        else:
            self._fill(runs, names, rows)
        self._show_details()

    def _fill(self, runs: OptionList, names: list[str], rows: list[Text]) -> None:
        before = self._chosen()
        wanted = before.run.name if before else self._current.name if self._current else None
        row = runs.highlighted or 0
        runs.clear_options()
        runs.add_options(Option(text, id=name) for name, text in zip(names, rows, strict=True))
        if names:
            at_least = min(row, len(names) - 1)
            runs.highlighted = names.index(wanted) if wanted in names else at_least

    def _row(self, entry: _Entry, columns: Columns) -> Text:
        run, numbers = entry.run, entry.summary
        glyph, word, look = LOOKS[run.state.state]
        status = run.state.status
        step = max(numbers.step or 0, status.step if status else 0)
        mark = ("+", "strong") if run.path in self._marked else ("", "")
        if run.path == self._current:
            mark = ("▸", "accent")
        cells = {
            "mark": mark,
            "state": (f"{glyph} {word}", look),
            "name": (printable(run.name), "strong" if run.state.active else "text"),
            "step": (_steps(step, numbers.steps, wide=columns.wide), "text"),
            "dense": (_loss(numbers.best.get("dense")), "dense"),
            "moe": (_loss(numbers.best.get("moe")), "moe"),
            "corpus": (printable(run.corpus or "-"), "muted"),
            "age": (age(time.time() - run.created), "muted"),
        }
        text = Text(no_wrap=True, end="")
        for content, (value, style) in zip(columns.cut(cells), cells.values(), strict=False):
            text.append(content, self.style(style) if value else "")
        return text

    # -- the run under the cursor

    def _chosen(self) -> _Entry | None:
        """The entry under the cursor, as the list shows it."""
        runs = self.query_one(OptionList)
        if runs.highlighted is None or not runs.option_count:
            return None
        name = runs.get_option_at_index(runs.highlighted).id
        return next((e for e in self._entries or () if e.run.name == name), None)

    def on_option_list_option_highlighted(self) -> None:
        """More about this one."""
        self._show_details()

    def _show_details(self) -> None:
        self.query_one(".details", Static).update(self._details())

    def _details(self) -> Text:
        entry = self._chosen()
        if entry is not None:
            state = entry.run.state
            reason = Text(printable(state.reason), self.style(LOOKS[state.state].style))
            about = _about(entry, " · ")
            lines = Text("\n").join([reason, *(Text(line) for line in about)])
            lines.no_wrap, lines.overflow = True, "ellipsis"
            return lines
        if self._problem:
            return Text(self._problem, self.style("bad"))
        if self._entries is None:
            return Text("Looking into the folder")
        return Text(f"There are no runs in {self._out} yet: Esc, then n starts one.")

    def _show_keys(self) -> None:
        back = "back" if tuple(self._marked) == self._before else "overlay"
        keys = [("Enter", "open"), ("space", "mark"), ("u", "resume")]
        keys += [("R", "rename"), ("d", "delete"), ("Esc", back)]
        self.query_one(".box").border_subtitle = hints(keys)

    # -- keys

    def on_option_list_option_selected(self) -> None:
        """Enter, or the mouse: open it."""
        if entry := self._chosen():
            self._decide("open", entry.run.path)

    def _decide(self, action: Literal["open", "resume"], path: Path) -> None:
        marked = tuple(p for p in self._marked if p != path)
        self.dismiss(RunsResult(action, (path,), marked))

    def action_leave(self) -> None:
        """Back; marks that were changed are an answer."""
        marked = tuple(self._marked)
        self.dismiss(None if marked == self._before else RunsResult("overlay", marked, marked))

    def action_mark(self) -> None:
        """Lay the run over the charts, or take it off; then the next one."""
        entry = self._chosen()
        if entry is None:
            return
        path = entry.run.path
        if path == self._current:
            self.notify("This run is open: mark others to lay over it.")
            return
        if path in self._marked:
            self._marked.remove(path)
        elif len(self._marked) == len(OVERLAYS):
            self.notify(f"{len(OVERLAYS)} runs are marked already, and no more fit over a chart.")
            return
        else:
            self._marked.append(path)
        self._show_keys()
        self._show()
        self.query_one(OptionList).action_cursor_down()

    def action_resume(self) -> None:
        """Go on with a run that did not come to its end."""
        entry = self._chosen()
        if entry is None:
            return
        if problem := resume_problem(entry.run.path, entry.run.state):
            self.notify(problem, severity="warning", markup=False)
        else:
            self._decide("resume", entry.run.path)

    def action_rename(self) -> None:
        """Ask for another name."""
        entry = self._chosen()
        if entry is None or self._is_refused(entry.run, "renamed"):
            return
        path = entry.run.path

        def answered(name: str | None) -> None:
            if name is not None:
                self._do(lambda: self._renamed(path, rename_run(path, name)))

        ask = AskText(
            f"Another name for {printable(path.name)}:",
            path.name,
            lambda name: rename_problem(path, name),
            title="Rename",
        )
        self.app.push_screen(ask, answered)

    def _renamed(self, old: Path, new: Path) -> None:
        self._marked = [new if path == old else path for path in self._marked]
        self._before = tuple(new if path == old else path for path in self._before)
        self._current = new if self._current == old else self._current
        self.post_message(Renamed(old, new))
        self._look()

    def action_delete(self) -> None:
        """Ask, then delete."""
        entry = self._chosen()
        if entry is None or self._is_refused(entry.run, "deleted"):
            return
        path = entry.run.path

        def answered(answer: str | None) -> None:
            if answer == "delete":
                self.run_worker(lambda: self._delete(path), thread=True, exit_on_error=False)

        choices = [("k", "keep", "keep it"), ("d", "delete", "delete it and its checkpoints")]
        question = f"Delete {printable(path.name)}? Its records and models are gone then."
        self.app.push_screen(
            Ask(
                question,
                choices,
                title="Delete a run",
            ),
            answered,
        )

    def _delete(self, path: Path) -> None:
        """In a thread: checkpoints may be gigabytes."""
        self._do(lambda: delete_run(path))
        self._list()

    def _do(self, change: object) -> None:
        assert callable(change)
        try:
            change()
        except RunError as error:
            self.notify(str(error), severity="error", markup=False)

    def _is_refused(self, run: RunInfo, what: str) -> bool:
        if run.state.active:
            self.notify(active_problem(run.path, what), severity="warning", markup=False)
        return run.state.active


@dataclass(frozen=True)
class Columns:
    """The widths of the columns; a narrow list gives up the corpus and the planned steps."""

    width: int
    wide: bool

    def sizes(self) -> dict[str, int]:
        """Cells of each column; the name takes what is left."""
        sizes = {"mark": 1, "state": 12, "name": 0, "step": 15 if self.wide else 9}
        sizes |= {"dense": 6, "moe": 6}
        sizes |= {"corpus": 20} if self.wide else {}
        sizes |= {"age": 6}
        used = sum(sizes.values()) + 2 * (len(sizes) - 1)
        return sizes | {"name": max(6, self.width - used - 1)}

    def cut(self, cells: dict[str, tuple[str, str]]) -> list[str]:
        """Each cell as wide as its column, in the order of `cells`; those given up are empty."""
        sizes = self.sizes()
        return [
            self._sized(value, sizes[name], right=name in ("step", "dense", "moe", "age"))
            + "  " * (name != "age")
            if name in sizes
            else ""
            for name, (value, _) in cells.items()
        ]

    def _sized(self, text: str, size: int, *, right: bool) -> str:
        missing = size - cell_len(text)
        if missing < 0:
            return set_cell_size(text, size - 1) + "…"
        return " " * missing + text if right else text + " " * missing

    def heading(self) -> Text:
        """The names over the columns."""
        names = ("", "state", "run", "step", "Dense", "MoE", "corpus", "begun")
        keys = ("mark", "state", "name", "step", "dense", "moe", "corpus", "age")
        cells = {key: (name, "") for key, name in zip(keys, names, strict=True)}
        return Text("".join(self.cut(cells)), no_wrap=True)


def _about(entry: _Entry, between: str) -> list[str]:
    """Three lines about a run."""
    numbers, run = entry.summary, entry.run
    said = numbers.settings
    gpt = said.get("gpt") if isinstance(said.get("gpt"), dict) else None
    models = []
    if gpt:
        shape = "/".join(str(gpt.get(key, "?")) for key in ("layers", "heads", "width"))
        models.append(f"{said.get('preset', '')} {shape}, context {gpt.get('context', '?')}")
    for variant, (total, active) in numbers.parameters.items():
        spared = f" ({costs.short_count(active)} active)" if active < total else ""
        models.append(f"{NAMES.get(variant, variant)} {costs.short_count(total)}{spared}")
    took = costs.about_time(numbers.wall_seconds).removeprefix("about ")
    facts = [
        f"begun {time.strftime('%b %d %H:%M', time.localtime(run.created))}",
        " on ".join(filter(None, (took, numbers.device))),
        run.corpus or "",
    ]
    return [
        printable(between.join(models)),
        printable(between.join(filter(None, facts))),
        printable(str(run.path)),
    ]


def _steps(step: int, steps: int | None, *, wide: bool) -> str:
    return f"{step:,}/{steps:,}" if wide and steps else f"{step:,}"


def _loss(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}" if abs(loss) < 100 else f"{loss:.0f}"


def age(seconds: float) -> str:
    """How long ago, in a few characters: "5 min", "3 h", "12 d"."""
    for unit, name, until in ((60, "min", 3600), (3600, "h", 86400 * 2)):
        if seconds < until:
            return f"{max(0, int(seconds)) // unit} {name}"
    return f"{int(seconds) // 86400} d"


# -- what is done to a run
