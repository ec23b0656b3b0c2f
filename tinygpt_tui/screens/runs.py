"""The screen of all runs: open, overlay, rename, delete, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

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
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.screens.dialog import Ask, AskText, Dialog, hints
from tinygpt_tui.screens.runs_table import RunEntry, details, heading, row_cells
from tinygpt_tui.theme import OVERLAYS

REFRESH = 2.0
"""Seconds between two reads of the folder."""


@dataclass(frozen=True, slots=True)
class RunsResult:
    """The user's choice: `paths` are the run to open or resume, or the runs to overlay."""

    action: Literal["open", "overlay", "resume"]
    paths: tuple[Path, ...]
    overlays: tuple[Path, ...] = ()
    """The marked runs, for every action."""


class RunRenamed(Message):
    """A run was renamed."""

    def __init__(self, old: Path, new: Path) -> None:
        super().__init__()
        self.old, self.new = old, new


class _Listed(Message):
    """The folder has been read."""

    def __init__(self, entries: list[RunEntry], problem: str | None) -> None:
        super().__init__()
        self.entries, self.problem = entries, problem


class RunsScreen(Dialog[RunsResult]):
    """The runs in a folder, newest first; updated while the screen is open."""

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
        """`current` is the open run; `overlays` are initially marked."""
        super().__init__("Runs, with their best validation losses", [])
        self._out = out
        self._current = current
        self._before = tuple(overlays)
        self._marked = list(overlays)
        self._entries: list[RunEntry] | None = None
        self._problem: str | None = None

    def compose(self) -> ComposeResult:
        yield self.box(Static("", classes="heading"), OptionList(), Static("", classes="details"))

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self._show_keys()
        self._show_details()
        self._refresh_list()
        self.set_interval(REFRESH, self._refresh_list)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    # -- the list

    def _refresh_list(self) -> None:
        self.run_worker(self._list, thread=True, exclusive=True, exit_on_error=False)

    def _list(self) -> None:
        """In a thread: a network disk may be slow."""
        try:
            entries = [RunEntry(run, summary(run.path)) for run in list_runs(self._out)]
        except TinyGPTError as error:
            self.post_message(_Listed([], str(error)))
        else:
            self.post_message(_Listed(entries, None))

    def on__listed(self, event: _Listed) -> None:
        self._entries, self._problem = event.entries, event.problem
        present = {entry.run.path for entry in event.entries}
        self._marked = [path for path in self._marked if path in present]
        self._show()

    def _show(self) -> None:
        runs = self.query_one(OptionList)
        width = runs.scrollable_content_region.width
        entries = self._entries
        if entries is None or width <= 0:
            return
        self.query_one(".heading", Static).update(Text(heading(width), no_wrap=True))
        names = [entry.run.name for entry in entries]
        rows = [self._row(entry, width) for entry in entries]
        if [option.id for option in runs.options] == names:
            for index, text in enumerate(rows):
                if runs.get_option_at_index(index).prompt != text:
                    runs.replace_option_prompt_at_index(index, text)
        else:
            self._replace(runs, names, rows)
        self._show_details()

    def _replace(self, runs: OptionList, names: list[str], rows: list[Text]) -> None:
        """Refill the list; the cursor stays on its run, or near it."""
        before = self._chosen()
        name = before.run.name if before else self._current.name if self._current else None
        row = runs.highlighted or 0
        runs.clear_options()
        runs.add_options(Option(text, id=run) for run, text in zip(names, rows, strict=True))
        if names:
            nearby = min(row, len(names) - 1)
            runs.highlighted = names.index(name) if name in names else nearby

    def _row(self, entry: RunEntry, width: int) -> Text:
        path = entry.run.path
        cells = row_cells(
            entry,
            width,
            is_open=path == self._current,
            is_marked=path in self._marked,
            now=time.time(),
        )
        text = Text(no_wrap=True, end="")
        for cell in cells:
            text.append(cell.text, self.style(cell.style) if cell.text.strip() else "")
        return text

    # -- the run under the cursor

    def _chosen(self) -> RunEntry | None:
        """The entry under the cursor."""
        runs = self.query_one(OptionList)
        if runs.highlighted is None or not runs.option_count:
            return None
        name = runs.get_option_at_index(runs.highlighted).id
        return next((e for e in self._entries or () if e.run.name == name), None)

    def on_option_list_option_highlighted(self) -> None:
        self._show_details()

    def _show_details(self) -> None:
        self.query_one(".details", Static).update(self._details())

    def _details(self) -> Text:
        entry = self._chosen()
        if entry is not None:
            state = entry.run.state
            reason = Text(printable(state.reason), self.style(LOOKS[state.state].style))
            lines = Text("\n").join([reason, *(Text(line) for line in details(entry))])
            lines.no_wrap, lines.overflow = True, "ellipsis"
            return lines
        if self._problem:
            return Text(self._problem, self.style("bad"))
        if self._entries is None:
            return Text("Reading the folder")
        return Text(f"There are no runs in {self._out} yet: press Esc, then n to start one.")

    def _show_keys(self) -> None:
        back = "back" if tuple(self._marked) == self._before else "overlay"
        keys = [("Enter", "open"), ("space", "mark"), ("u", "resume")]
        keys += [("R", "rename"), ("d", "delete"), ("Esc", back)]
        self.query_one(".box").border_subtitle = hints(keys)

    # -- keys

    def on_option_list_option_selected(self) -> None:
        if entry := self._chosen():
            self._dismiss_with("open", entry.run.path)

    def _dismiss_with(self, action: Literal["open", "resume"], path: Path) -> None:
        marked = tuple(p for p in self._marked if p != path)
        self.dismiss(RunsResult(action, (path,), marked))

    def action_leave(self) -> None:
        marked = tuple(self._marked)
        self.dismiss(None if marked == self._before else RunsResult("overlay", marked, marked))

    def action_mark(self) -> None:
        entry = self._chosen()
        if entry is None:
            return
        path = entry.run.path
        if path == self._current:
            self.notify("This run is open: mark other runs to compare it with.")
            return
        if path in self._marked:
            self._marked.remove(path)
        elif len(self._marked) == len(OVERLAYS):
            self.notify(f"At most {len(OVERLAYS)} runs can be overlaid.")
            return
        else:
            self._marked.append(path)
        self._show_keys()
        self._show()
        self.query_one(OptionList).action_cursor_down()

    def action_resume(self) -> None:
        entry = self._chosen()
        if entry is None:
            return
        if problem := resume_problem(entry.run.path, entry.run.state):
            self.notify(problem, severity="warning", markup=False)
        else:
            self._dismiss_with("resume", entry.run.path)

    def action_rename(self) -> None:
        entry = self._chosen()
        if entry is None or self._is_refused(entry.run, "renamed"):
            return
        path = entry.run.path

        def answered(name: str | None) -> None:
            if name is not None:
                self._try(lambda: self._on_renamed(path, rename_run(path, name)))

        ask = AskText(
            f"Rename {printable(path.name)} to:",
            path.name,
            lambda name: rename_problem(path, name),
            title="Rename",
        )
        self.app.push_screen(ask, answered)

    def _on_renamed(self, old: Path, new: Path) -> None:
        self._marked = [new if path == old else path for path in self._marked]
        self._before = tuple(new if path == old else path for path in self._before)
        self._current = new if self._current == old else self._current
        self.post_message(RunRenamed(old, new))
        self._refresh_list()

    def action_delete(self) -> None:
        entry = self._chosen()
        if entry is None or self._is_refused(entry.run, "deleted"):
            return
        path = entry.run.path

        def answered(answer: str | None) -> None:
            if answer == "delete":
                self.run_worker(lambda: self._delete(path), thread=True, exit_on_error=False)

        choices = [("k", "keep", "Keep it"), ("d", "delete", "Delete it and its checkpoints")]
        lost = "Metrics and checkpoints will be deleted permanently."
        ask = Ask(f"Delete {printable(path.name)}? {lost}", choices, title="Delete run")
        self.app.push_screen(ask, answered)

    def _delete(self, path: Path) -> None:
        """In a thread: checkpoints may be gigabytes."""
        self._try(lambda: delete_run(path))
        self._list()

    def _try(self, change: Callable[[], None]) -> None:
        """Make a change on disk; an error becomes a notification."""
        try:
            change()
        except RunError as error:
            self.notify(str(error), severity="error", markup=False)

    def _is_refused(self, run: RunInfo, what: str) -> bool:
        """Whether the run is active; then warns that it cannot be `what`."""
        if run.state.active:
            self.notify(active_problem(run.path, what), severity="warning", markup=False)
        return run.state.active
