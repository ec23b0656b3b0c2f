"""The screen of all runs: open, compare, overlay, rename, delete, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

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
from tinygpt_tui.screens.runs_order import RunsOrder
from tinygpt_tui.screens.runs_table import (
    RunEntry,
    column_at,
    details,
    heading,
    mark_cell,
    read_entries,
    row_cells,
    shown_columns,
)
from tinygpt_tui.theme import OVERLAYS
from tinygpt_tui.widgets.bindings import bindings

REFRESH = 2.0
"""Seconds between two reads of the folder."""
FRAME = 6
"""Columns around the hints."""


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


def _number(path: Path, marked: Sequence[Path], current: Path | None) -> int | None:
    """The number that a marked run has as an overlay; 0 for the open one, which cannot be one; None
    if the run is not marked."""
    if path not in marked:
        return None
    others = [other for other in marked if other != current]
    return 0 if path == current else 1 + others.index(path)


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


class RunList(OptionList):
    """The rows of the runs, by name."""

    def show(self, rows: Mapping[str, Text], first: str | None) -> None:
        """Show these rows. The cursor stays on its run or near it, and begins at `first`."""
        if [option.id for option in self.options] != list(rows):
            self._replace(rows, first)
            return
        for index, text in enumerate(rows.values()):
            if self.get_option_at_index(index).prompt != text:
                self.replace_option_prompt_at_index(index, text)

    def _replace(self, rows: Mapping[str, Text], first: str | None) -> None:
        name, place = self.chosen or first, self.highlighted or 0
        self.clear_options()
        self.add_options(Option(text, id=run) for run, text in rows.items())
        if rows:
            nearby = min(place, len(rows) - 1)
            self.highlighted = list(rows).index(name) if name and name in rows else nearby

    def move_on(self) -> None:
        """Move the cursor to the next run; at the last one it stays."""
        if self.highlighted is not None and self.highlighted < self.option_count - 1:
            self.action_cursor_down()

    @property
    def chosen(self) -> str | None:
        """The name of the run under the cursor."""
        if self.highlighted is None or not self.option_count:
            return None
        return self.get_option_at_index(self.highlighted).id


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
        self._current = current
        self._overlaid = bool(overlays)
        self._marked = [path for path in (current, *overlays) if path and overlays]
        self._order = RunsOrder()
        self._entries: list[RunEntry] | None = None
        self._problem: str | None = None

    def compose(self) -> ComposeResult:
        words = "words in the name, preset, corpus, device or state"
        yield self.box(
            Input(placeholder=words, compact=True),
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
        present = {entry.run.path for entry in event.entries}
        self._marked = [path for path in self._marked if path in present]
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
        first = self._current.name if self._current else None
        runs.show({entry.run.name: self._row(entry, width) for entry in found}, first)
        self._show_details()

    def _row(self, entry: RunEntry, width: int) -> Text:
        path = entry.run.path
        mark = mark_cell(_number(path, self._marked, self._current), is_open=path == self._current)
        text = Text(no_wrap=True, end="")
        for cell in row_cells(entry, width, mark, now=time.time()):
            text.append(cell.text, self.style(cell.style) if cell.text.strip() else "")
        return text

    # -- the run under the cursor

    def _chosen(self) -> RunEntry | None:
        """The entry under the cursor."""
        name = self.query_one(RunList).chosen
        return next((e for e in self._entries or () if e.run.name == name), None)

    def on_option_list_option_highlighted(self) -> None:
        self._show_details()

    def _show_details(self) -> None:
        self.query_one(".details", Static).update(self._details())

    def _details(self) -> Text:
        entry = self._chosen()
        if entry is not None:
            state = entry.run.state
            lines = [Text(entry.note, self.style("strong"))] if entry.note else []
            lines.append(Text(printable(state.reason), self.style(LOOKS[state.state].style)))
            text = Text("\n", no_wrap=True, overflow="ellipsis")
            return text.join([*lines, *(Text(line) for line in details(entry))])
        if self._problem:
            return Text(self._problem, self.style("bad"))
        if self._entries is None:
            return Text("Reading the folder")
        if self._entries:
            return Text("No run matches these words: press Esc to see all of them.")
        return Text(f"There are no runs in {self._out} yet: press Esc, then n to start one.")

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
        if entry := self._chosen():
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
        if entry := self._chosen():
            path = entry.run.path
            if path in self._marked:
                self._marked.remove(path)
            else:
                self._marked.append(path)
            self._show()
            self.query_one(RunList).move_on()

    def action_overlay(self) -> None:
        """Overlay the marked runs. Without marks, remove the overlays, if there were any, else
        overlay the run under the cursor."""
        entry = self._chosen()
        paths = self._marked or ([entry.run.path] if entry and not self._overlaid else [])
        paths = [path for path in paths if path != self._current]
        if len(paths) > len(OVERLAYS):
            self.notify(f"At most {len(OVERLAYS)} runs can be overlaid; {len(paths)} are marked.")
        elif paths or self._overlaid:
            self.dismiss(RunsResult("overlay", tuple(paths)))
        else:
            self.notify("This run is open: choose another one to overlay, or mark several.")

    def action_compare(self) -> None:
        """Compare the marked runs; one alone, or the run under the cursor, with the open one."""
        entry = self._chosen()
        paths = self._marked or ([entry.run.path] if entry else [])
        if len(paths) == 1 and self._current and self._current not in paths:
            paths = [self._current, *paths]
        known = {entry.run.path: entry for entry in self._entries or ()}
        chosen = [known[path] for path in paths if path in known]
        if len(chosen) > 1:
            self.app.push_screen(CompareRunsScreen(chosen))
        else:
            self.notify("Mark two or more runs with space to compare them.")

    def action_resume(self) -> None:
        entry = self._chosen()
        if entry is None:
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
        if wish is not None:
            self.dismiss(RunsResult(wish, (path,)))

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
