"""The form for a new run: checks every field as it is typed, and shows the cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.message import Message

from tinygpt_tui.launch import cost, measured
from tinygpt_tui.launch.surroundings import corpus_source
from tinygpt_tui.monitor.machine import read_machine
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.form import NewRun
from tinygpt_tui.screens.form_state import FormState
from tinygpt_tui.screens.form_view import BELOW, Measurements, choice_at, draw, visible
from tinygpt_tui.widgets.cell_view import CellView

_FRAME = 2
"""Rows of the frame."""


class _Measured(Message):
    """The measurements have been read."""

    def __init__(self, measurements: Measurements) -> None:
        super().__init__()
        self.measurements = measurements


class FormView(CellView, can_focus=True):
    """The form. It handles all keys itself, so that those that arrive in one burst cannot overtake
    the change of the field that they are for."""

    DEFAULT_CSS = "FormView { width: 1fr; }"

    class Submitted(Message):
        """The run is to be started."""

    def __init__(self, state: FormState) -> None:
        super().__init__()
        self.state = state
        self.measurements = Measurements()
        self._shown = range(0)
        self._lines = 0

    def update(self) -> None:
        """Draw the form, as high as its rows and the screen allow."""
        room = max(1, self.screen.size.height - _FRAME - BELOW)
        self._shown = visible(self.state, self._shown.start, room)
        # It does not shrink while a search is typed, or all of it would be sent for each key.
        lines = BELOW + min(room, max(len(self._shown), self._lines - BELOW))
        if lines != self._lines:
            self.styles.height = self._lines = lines
        if self.size.width:
            self.show(draw(self.state, self.measurements, self.size.width, lines, self._shown))

    def on_resize(self) -> None:
        self.update()

    def on_key(self, event: events.Key) -> None:
        if event.key == "ctrl+s" or (event.key == "enter" and not self.state.enter()):
            self.post_message(self.Submitted())
        elif event.key != "enter" and not self.state.press(event.key, event.character):
            return
        event.stop()
        event.prevent_default()
        self.update()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.state.paste(event.text)
        self.update()

    def on_click(self, event: events.Click) -> None:
        if event.y >= len(self._shown):
            return
        name = self.state.rows()[self._shown[event.y]].name
        if name:
            self.state.go(name)
            if value := choice_at(name, event.x):
                self.state.select(name, value)
            self.update()

    def on_mouse_scroll_down(self) -> None:
        self.state.move(3)
        self.update()

    def on_mouse_scroll_up(self) -> None:
        self.state.move(-3)
        self.update()


class NewRunScreen(Dialog[NewRun]):
    """Asks what to train; the result is what to start."""

    DEFAULT_CSS = """
    NewRunScreen .box { width: 104; padding: 0 1; }
    """

    def __init__(self, out: Path, *, values: Mapping[str, str] | None = None) -> None:
        """`values` are initial values by dotted name, as typed (and "name"): of another run, or of
        the command line. Without a preset, it is the one for this machine."""
        keys = [("Enter", "start"), ("↑↓", "field"), ("ctrl+f", "search"), ("Esc", "cancel")]
        super().__init__("New run", keys)
        self._out = out
        given = dict(values or {})
        if given.get("preset", "auto") == "auto":
            given["preset"] = cost.default_preset()
        self._view = FormView(FormState(out, given))

    def compose(self) -> ComposeResult:
        yield self.box(self._view)

    def on_mount(self) -> None:
        self._view.focus()
        self.run_worker(self._measure, thread=True, exit_on_error=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._view.update)

    def on_form_view_submitted(self) -> None:
        new_run = self._view.state.start()
        if new_run is None:
            self._view.update()
        else:
            self.dismiss(new_run)

    def _measure(self) -> None:
        """In a thread: read the runs, the machine's memory, and where the corpus is."""
        runs = tuple(measured.measured_runs(self._out))
        memory = read_machine().memory_total
        self.post_message(_Measured(Measurements(runs, memory, corpus_source())))

    def on__measured(self, event: _Measured) -> None:
        self._view.measurements = event.measurements
        self._view.update()
