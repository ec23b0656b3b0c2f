"""The screen of all runs: open, compare, overlay, rename, delete, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.events import Click, Key
from textual.message import Message
from textual.widgets import Input, Static

from tinygpt.errors import RunError, TinyGPTError
from tinygpt.escape import printable
from tinygpt.run import RunInfo
from tinygpt.run.manage import (
    active_problem,
    delete_run,
    rename_problem,
    rename_run,
    resume_problem,
)
from tinygpt_tui.keymap import RUN_LIST
from tinygpt_tui.render.run_state import LOOKS
from tinygpt_tui.screens.compare_runs import CompareRunsScreen
from tinygpt_tui.screens.dialog import Ask, AskText, Dialog, hints
from tinygpt_tui.screens.run_info import RunInfoScreen, Wish
from tinygpt_tui.screens.run_list import RunList
from tinygpt_tui.screens.runs_groups import (
    GroupEntry,
    Marks,
    cells_of,
    group_details,
    with_groups,
)
from tinygpt_tui.screens.runs_order import RunsOrder
from tinygpt_tui.screens.runs_table import (
    RunEntry,
    column_at,
    details,
    heading,
    read_entries,
    shown_columns,
)
from tinygpt_tui.theme import OVERLAYS
from tinygpt_tui.widgets.bindings import bindings

REFRESH = 2.0
"""Seconds between two reads of the folder."""
FRAME = 6
"""Columns around the hints."""
FILTER = "words in the name, preset, corpus, device or state"


@dataclass(frozen=True, slots=True)
class RunsResult:
    """The user's choice: `paths` are the run to open, resume (or train for more steps) or clone, or
    exactly the runs to overlay."""

    action: Literal["open", "overlay", "resume", "clone"]
    paths: tuple[Path, ...]


def titled(order: RunsOrder, found: int, total: int, width: int) -> str:
    """What is listed, as far as a list of this width does not say it."""
    parts = ["Runs, with their best validation losses"]
    if order.column not in shown_columns(width):
        parts.append(f"by {order.column} {order.arrow}")
    if order.words:
        parts.append(f"{found} of {total} match")
    return " · ".join(parts)


def _keys(width: int) -> list[tuple[str, str]]:
    """The hints for which there is room in a screen of this width, the most important first."""
    keys = [("Enter", "open"), ("space", "mark"), ("o", "overlay"), ("=", "compare")]
    keys += [("I", "info"), ("/", "find"), ("u", "resume"), ("n", "new from it"), ("d", "delete")]
    keys += [("z", "sort"), ("R", "rename")]
    back = ("Esc", "back")
    while len(keys) > 1 and hints([*keys, back]).cell_length + FRAME > width:
        keys.pop()
    return [*keys, back]


def _why_empty(entries: Sequence[RunEntry] | None, out: Path) -> str:
    """Why there is no row, with or without `entries`."""
    if entries is None:
        return "Reading the folder"
    if entries:
        return "No run matches these words: press Esc to see all of them."
    return f"There are no runs in {out} yet: press Esc, then n to start one."


def _ask_for_name(path: Path) -> AskText:
    """Ask for another name of the run."""
    return AskText(
        f"Rename {printable(path.name)} to:",
        path.name,
        lambda name: rename_problem(path, name),
        title="Rename",
    )


def _ask_to_delete(path: Path) -> Ask:
    """Ask whether to delete the run."""
    choices = [("k", "keep", "Keep it"), ("d", "delete", "Delete it and its checkpoints")]
    lost = "Metrics and checkpoints will be deleted permanently."
    return Ask(f"Delete {printable(path.name)}? {lost}", choices, title="Delete run")


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
        .box { width: 100%; max-width: 172; height: auto; max-height: 94%; padding: 0 1; }
        .heading { height: 1; color: $text-muted; margin-top: 1; }
        OptionList { width: 1fr; height: auto; max-height: 1fr; }
        .details { height: 5; border-top: solid $primary 40%; color: $text-muted; }
        &.-noted .details { height: 6; }
        Input { display: none; }
        Input.-shown { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(RUN_LIST)

    def __init__(
        self, out: Path, *, current: Path | None = None, overlays: Sequence[Path] = ()
    ) -> None:
        """`current` is the open run; if there are `overlays`, these runs are initially marked."""
        super().__init__("Runs", [])
        self._out = out
        self._overlaid = bool(overlays)
        marked = [path for path in dict.fromkeys((current, *overlays)) if path and overlays]
        self._marks = Marks(current, marked)
        self._unfolded: set[str] | None = None
        self._order = RunsOrder()
        self._entries: list[RunEntry] | None = None
        self._rows: dict[str, GroupEntry | RunEntry] = {}
        self._problem: str | None = None

    def compose(self) -> ComposeResult:
        yield self.box(
            Input(placeholder=FILTER, compact=True),
            Static("", classes="heading"),
            RunList(),
            Static("", classes="details"),
        )

    def on_mount(self) -> None:
        self.query_one(RunList).focus()
        self._show_details()
        self._refresh_list()
        self.set_interval(REFRESH, self._refresh_list)

    def on_resize(self) -> None:
        self._show_keys()
        self.call_after_refresh(self._show)

    # -- the list

    def _refresh_list(self) -> None:
        self.run_worker(self._list, thread=True, exclusive=True, exit_on_error=False)

    def _list(self) -> None:
        """In a thread: a network disk may be slow."""
        try:
            entries = read_entries(self._out)
        except TinyGPTError as error:
            self.post_message(_Listed([], str(error)))
        else:
            self.post_message(_Listed(entries, None))

    def on__listed(self, event: _Listed) -> None:
        self._entries, self._problem = event.entries, event.problem
        self._marks.update(event.entries)
        if self._unfolded is None and self._problem is None:
            is_open = (entry for entry in event.entries if entry.run.path == self._marks.current)
            self._unfolded = {entry.place.group for entry in is_open if entry.place}
        self._show()

    def _show(self) -> None:
        runs = self.query_one(RunList)
        width = runs.scrollable_content_region.width
        if self._entries is None or width <= 0:
            return
        found = self._order.apply(self._entries)
        titles = heading(width, self._order.column, self._order.arrow)
        self.query_one(".heading", Static).update(Text(titles, no_wrap=True))
        title = titled(self._order, len(found), len(self._entries), width)
        self.query_one(".box").border_title = Content(f" {title} ")
        self.set_class(any(entry.note for entry in self._entries), "-noted")
        rows = with_groups(found, self._unfolded or (), all_unfolded=bool(self._order.words))
        self._rows = {entry.name: entry for entry in rows}
        first = self._marks.current.name if self._marks.current else None
        runs.show({name: self._row(entry, width) for name, entry in self._rows.items()}, first)
        self._show_details()

    def _row(self, entry: GroupEntry | RunEntry, width: int) -> Text:
        text = Text(no_wrap=True, end="")
        for cell in cells_of(entry, width, self._marks, now=time.time()):
            text.append(cell.text, self.style(cell.style) if cell.text.strip() else "")
        return text

    # -- the run under the cursor

    def _row_chosen(self) -> GroupEntry | RunEntry | None:
        """The row under the cursor."""
        return self._rows.get(self.query_one(RunList).chosen or "")

    def _chosen(self) -> RunEntry | None:
        """The run under the cursor; of a group, says what to do instead."""
        entry = self._row_chosen()
        if isinstance(entry, GroupEntry):
            self.notify(f"{entry.name} is a group: Enter unfolds it to its runs.", markup=False)
            return None
        return entry

    def on_option_list_option_highlighted(self) -> None:
        self._show_details()

    def _show_details(self) -> None:
        self.query_one(".details", Static).update(self._details())

    def _details(self) -> Text:
        entry = self._row_chosen()
        if isinstance(entry, GroupEntry):
            return Text("\n".join(group_details(entry)), no_wrap=True, overflow="ellipsis")
        if entry is not None:
            state = entry.run.state
            lines = [Text(entry.note, self.style("strong"))] if entry.note else []
            lines.append(Text(printable(state.reason), self.style(LOOKS[state.state].style)))
            text = Text("\n", no_wrap=True, overflow="ellipsis")
            return text.join([*lines, *(Text(line) for line in details(entry))])
        if self._problem:
            return Text(self._problem, self.style("bad"))
        return Text(_why_empty(self._entries, self._out))

    def _show_keys(self) -> None:
        self.query_one(".box").border_subtitle = hints(_keys(self.size.width))

    # -- sorting and filtering

    def action_sort(self) -> None:
        width = self.query_one(RunList).scrollable_content_region.width
        self._order = self._order.by_next(shown_columns(width))
        self._show()

    @on(Click, ".heading")
    def _sort_by_column(self, event: Click) -> None:
        width = self.query_one(RunList).scrollable_content_region.width
        self._order = self._order.by(column_at(width, event.x))
        self._show()

    def action_reverse(self) -> None:
        self._order = self._order.reversed()
        self._show()

    def action_filter(self) -> None:
        words = self.query_one(Input)
        words.add_class("-shown")
        words.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._order = replace(self._order, words=event.value)
        self._show()

    def on_input_submitted(self) -> None:
        self._leave_filter()

    def on_key(self, event: Key) -> None:
        """The arrow keys lead from the filter line to the list."""
        if self.focused is self.query_one(Input) and event.key in ("up", "down"):
            event.stop()
            self._leave_filter()

    def _leave_filter(self) -> None:
        words = self.query_one(Input)
        words.set_class(bool(words.value), "-shown")
        self.query_one(RunList).focus()

    # -- keys

    def on_option_list_option_selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Open the run under the cursor; fold or unfold a group."""
        entry = self._row_chosen()
        if isinstance(entry, GroupEntry):
            self._unfolded = (self._unfolded or set()) ^ {entry.name}
            self._show()
        elif entry:
            self.dismiss(RunsResult("open", (entry.run.path,)))

    def action_leave(self) -> None:
        """Back by one level: from the filter to all runs, then to the tab; nothing is applied."""
        words = self.query_one(Input)
        if not words.has_class("-shown"):
            self.dismiss(None)
            return
        words.value = ""
        self._leave_filter()

    def action_mark(self) -> None:
        """Mark the run, or all runs of the group, or no longer."""
        if entry := self._row_chosen():
            self._marks.toggle(entry.paths)
            self._show()
            self.query_one(RunList).move_on()

    def action_overlay(self) -> None:
        """Overlay the marked runs. Without marks, remove the overlays, if there were any, else
        overlay the run or group under the cursor."""
        entry = self._row_chosen()
        paths = self._marks.paths or (entry.paths if entry and not self._overlaid else [])
        overlaid = self._marks.overlaid(paths)
        if len(overlaid) > len(OVERLAYS):
            many = f"At most {len(OVERLAYS)} runs can be overlaid; {len(overlaid)} are marked."
            self.notify(f"{many} Those that differ in their seed alone count as one.")
        elif overlaid or self._overlaid:
            chosen = [path for runs in overlaid for path in runs.paths]
            self.dismiss(RunsResult("overlay", tuple(chosen)))
        else:
            self.notify("This run is open: choose another one to overlay, or mark several.")

    def action_compare(self) -> None:
        """Compare the marked runs; one alone, or what is under the cursor, with the open one."""
        entry, current = self._row_chosen(), self._marks.current
        paths = self._marks.paths or (entry.paths if entry else [])
        if len(self._marks.overlaid(paths)) == 1 and current and current not in paths:
            paths = [current, *paths]
        known = {entry.run.path: entry for entry in self._entries or ()}
        chosen = [known[path] for path in paths if path in known]
        if len(chosen) > 1:
            self.app.push_screen(CompareRunsScreen(chosen))
        else:
            self.notify("Mark two or more runs with space to compare them.")

    def action_resume(self) -> None:
        if (entry := self._chosen()) is None:
            return
        problem = resume_problem(entry.run.path, entry.run.state)
        if problem and not entry.run.state.done:  # that is asked for more steps
            self.notify(problem, severity="warning", markup=False)
        else:
            self._leave_for("resume", entry.run.path)

    def action_clone(self) -> None:
        if entry := self._chosen():
            self._leave_for("clone", entry.run.path)

    def action_run_info(self) -> None:
        """Show all about the run under the cursor; what is wished for there leaves the list too."""
        if entry := self._chosen():
            path = entry.run.path
            self.app.push_screen(RunInfoScreen(path), lambda wish: self._leave_for(wish, path))

    def _leave_for(self, wish: Wish | None, path: Path) -> None:
        if wish:
            self.dismiss(RunsResult(wish, (path,)))

    def action_rename(self) -> None:
        entry = self._chosen()
        if entry is None or self._is_refused(entry.run, "renamed"):
            return
        path = entry.run.path

        def answered(name: str | None) -> None:
            if name is not None:
                self._try(lambda: self._on_renamed(path, rename_run(path, name)))

        self.app.push_screen(_ask_for_name(path), answered)

    def _on_renamed(self, old: Path, new: Path) -> None:
        self._marks.rename(old, new)
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

        self.app.push_screen(_ask_to_delete(path), answered)

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
