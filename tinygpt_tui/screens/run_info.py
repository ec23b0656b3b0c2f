"""The screen about one run: its settings, its log, its size on disk, and the user's note."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

from tinygpt.errors import RunError
from tinygpt.escape import printable
from tinygpt.run.note import write_note
from tinygpt_tui.keymap import RUN_INFO
from tinygpt_tui.monitor.run_info import RunFacts, read_again, read_facts
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.screens.dialog import Ask, Dialog, hints
from tinygpt_tui.screens.run_info_rows import PAGES, Page, page_rows, tabs
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

REFRESH = 2.0
"""Seconds between two reads of a run that is being trained."""
_KEYS = [("←→", "page"), ("↑↓", "scroll"), ("e", "edit note"), ("n", "new from it")]
_EDITING = [("ctrl+s", "save"), ("Esc", "back")]

Wish = Literal["clone", "resume"]


class _Read(Message):
    """The run has been read."""

    def __init__(self, facts: RunFacts) -> None:
        super().__init__()
        self.facts = facts


class NoteArea(TextArea):
    """The editor of the note."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", show=False),
        Binding("escape", "leave", show=False),
    ]

    class Saved(Message):
        """The text is to be kept."""

    class Left(Message):
        """Esc was pressed."""

    def action_save(self) -> None:
        self.post_message(self.Saved())

    def action_leave(self) -> None:
        self.post_message(self.Left())


class RunInfoScreen(Dialog[Wish]):
    """All about one run; the result is what to do with it."""

    DEFAULT_CSS = """
    RunInfoScreen {
        .box { width: 100%; max-width: 140; height: 100%; padding: 0 1; }
        #pages { height: 2; }
        #page { height: 1fr; }
        NoteArea, NoteArea:focus {
            display: none; height: 1fr; border: none; padding: 0; background: $panel;
        }
        &.-editing #page { display: none; }
        &.-editing NoteArea { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(RUN_INFO)

    def __init__(self, path: Path) -> None:
        super().__init__(printable(path.name), _KEYS)
        self._path = path
        self._facts = RunFacts(path.name)
        self._is_read = False
        self._page: Page = "settings"
        self._tops: dict[Page, int] = {}
        """The first row that is shown of each page; a log is shown from its end."""
        self._rows: list[Row] = []

    def compose(self) -> ComposeResult:
        area = NoteArea(show_line_numbers=False)
        area.can_focus = False  # the keys are the screen's until the note is edited
        box = self.box(CellView(id="pages"), CellView(id="page"), area)
        box.styles.min_width = 0
        yield box

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)
        self.set_interval(REFRESH, self._refresh_live)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    # -- reading

    def _read(self) -> None:
        """In a thread: the metrics of a long run take a second."""
        self.post_message(_Read(read_facts(self._path)))

    def _refresh_live(self) -> None:
        if self._is_read and self._facts.state and self._facts.state.active:
            self.run_worker(self._read_again, thread=True, exclusive=True, exit_on_error=False)

    def _read_again(self) -> None:
        self.post_message(_Read(read_again(self._facts, self._path)))

    def on__read(self, event: _Read) -> None:
        note = self._facts.note if self._is_read else event.facts.note
        self._facts, self._is_read = replace(event.facts, note=note), True
        self._show_hints()
        self._show()

    def _show_hints(self) -> None:
        state = self._facts.state
        more = [("u", "more steps" if state.done else "resume")] if state else []
        keys = _EDITING if self.has_class("-editing") else [*_KEYS, *more, ("Esc", "back")]
        self.query_one(".box").border_subtitle = hints(keys)

    # -- drawing

    def _show(self) -> None:
        view = self.query_one("#page", CellView)
        columns, lines = self.query_one("#pages", CellView).size.width, view.size.height
        if columns <= 0:
            return
        self.query_one("#pages", CellView).show([tabs(self._page, self._facts, columns), ()])
        if not self._is_read:
            view.show([row(Span(" Reading the run", "muted"))])
            return
        self._rows = page_rows(self._page, self._facts, columns)
        view.show(self._rows[self._top : self._top + max(1, lines)])

    @property
    def _last_top(self) -> int:
        """The first row when the end of the page is in view."""
        return max(0, len(self._rows) - self.query_one("#page", CellView).size.height)

    @property
    def _top(self) -> int:
        at_end = self._page == "log"
        return min(self._tops.get(self._page, self._last_top if at_end else 0), self._last_top)

    def _move_to(self, top: int) -> None:
        top = max(0, min(top, self._last_top))
        self._tops[self._page] = top
        if self._page == "log" and top == self._last_top:
            del self._tops["log"]  # follow what is added
        self._show()

    # -- keys

    def action_page(self, by: int) -> None:
        self._page = PAGES[(PAGES.index(self._page) + by) % len(PAGES)]
        self._show()

    def action_scroll(self, by: int) -> None:
        self._move_to(self._top + by)

    def action_scroll_pages(self, by: int) -> None:
        self._move_to(self._top + by * max(1, self.query_one("#page", CellView).size.height - 1))

    def action_jump(self, to: int) -> None:
        self._move_to(to)

    def action_clone(self) -> None:
        self.dismiss("clone")

    def action_resume(self) -> None:
        if self._facts.state and self._facts.state.active:
            self.notify(f"{self._path.name} is being trained.", severity="warning", markup=False)
        else:
            self.dismiss("resume")

    # -- the note

    def action_edit(self) -> None:
        """Edit the note, as it would be printed: without control characters."""
        if not self._is_read:
            return
        if self._facts.problem:
            self.notify(self._facts.problem, severity="warning", markup=False)
            return
        self._page = "note"
        area = self.query_one(NoteArea)
        area.text = self._editable
        area.move_cursor(area.document.end)
        self._set_editing(editing=True)

    @property
    def _editable(self) -> str:
        return printable(self._facts.note.rstrip("\n"), keep="\n\t")

    def _set_editing(self, *, editing: bool) -> None:
        self.set_class(editing, "-editing")
        area = self.query_one(NoteArea)
        area.can_focus = editing
        if editing:
            area.focus()
        else:
            self.set_focus(None)
        self._show_hints()
        self.query_one(".box").border_title = Content(
            f" {printable(self._path.name)}{': note' if editing else ''} "
        )
        self.call_after_refresh(self._show)

    def on_note_area_saved(self) -> None:
        text = self.query_one(NoteArea).text
        try:
            write_note(self._path, text)
        except RunError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._facts = replace(self._facts, note=text)
        self._set_editing(editing=False)

    def on_note_area_left(self) -> None:
        """Leave the editor; ask if its text would be lost."""
        if self.query_one(NoteArea).text == self._editable:
            self._set_editing(editing=False)
            return
        choices = [("s", "save", "Save it"), ("d", "discard", "Discard the changes")]
        ask = Ask("The note has been changed.", choices, title="Note")
        self.app.push_screen(ask, self._on_left)

    def _on_left(self, answer: str | None) -> None:
        if answer == "save":
            self.on_note_area_saved()
        elif answer == "discard":
            self._set_editing(editing=False)
