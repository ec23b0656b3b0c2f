"""The Experts tab's widget: keys act on the controller, the view draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from rich.text import Text as Rich
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.geometry import Size
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from tinygpt.data.characters import summarize
from tinygpt.run import CheckpointList, Which
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.experts import view
from tinygpt_tui.experts.clicks import clicked
from tinygpt_tui.experts.controller import ExpertsController
from tinygpt_tui.keymap import EXPERTS
from tinygpt_tui.monitor.history import History
from tinygpt_tui.screens.pick_checkpoint import pick_from_timeline
from tinygpt_tui.screens.unknown_characters import resolve_unknown
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

PLAY_INTERVAL = 0.6
"""Least seconds that each checkpoint is shown while the timeline plays."""


class TextField(Input):
    r"""The field in which a text is typed: \n is a new line, Esc cancels."""

    DEFAULT_CSS = """
    TextField, TextField:focus { border: none; height: 1; padding: 0; width: 1fr;
                                 background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """Esc was pressed."""

    def action_leave(self) -> None:
        self.post_message(self.Left())


class ExpertsPane(Container):
    """Expert load and balance, a routed text, and the table of lifts; below them a text field."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(EXPERTS)
    DEFAULT_CSS = """
    ExpertsPane { height: 1fr; }
    ExpertsPane #experts-view { height: 1fr; }
    ExpertsPane #experts-field { height: 1; display: none; }
    ExpertsPane #experts-field Static { width: auto; height: 1; }
    """
    can_focus = True

    def __init__(
        self,
        engine: Engine,
        generated: Callable[[], str],
        unknown: Callable[[str], set[str]],
        *,
        digits: bool = False,
        id: str | None = None,
    ) -> None:
        """`generated` gives the text of the Generate tab, `unknown` the characters of a text that
        are not in the vocabulary. `digits`: number the experts under the text."""
        super().__init__(id=id)
        self._engine, self._generated, self._unknown = engine, generated, unknown
        self.controller = ExpertsController(ask_for(self, engine), engine.new_job, digits=digits)
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield CellView(id="experts-view", clicked=self._clicked)
        with Horizontal(id="experts-field"):
            yield Static(Rich(" text ", "bold"))
            yield TextField(compact=True, select_on_focus=True)

    def on_mount(self) -> None:
        if self.app.no_color and not self.controller.state.digits:
            self.controller.toggle_digits()

    def open(self, run: Path | None) -> None:
        """Show this run from now on."""
        self.controller.open(run)
        self.draw()

    def update_history(self, history: History) -> None:
        """Show new records of the run."""
        if self.controller.update_history(history):
            self.draw()

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether another one is shown
        because the run has ended or was resumed."""
        before = self.controller.state.timeline
        if self.controller.update_checkpoints(checkpoints):
            self.draw()
        return self.controller.state.timeline.swapped_since(before)

    def activate(self) -> None:
        """Called when the user switches to this tab."""
        if self.controller.state.steps:
            self._engine.start()
        self.controller.activate(self._generated())
        self.draw()

    def on_show(self) -> None:
        self.draw()

    def on_hide(self) -> None:
        self.controller.deactivate()

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def on_engine_reply(self, message: EngineReply) -> None:
        if self.controller.handle_reply(message.reply):
            self.draw()

    # -- drawing --------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw everything now; rows that did not change cost nothing."""
        rows = self.query_one("#experts-view", CellView)
        if not self.is_on_screen or not rows.size.width:
            return
        if note := self.controller.take_note():
            self.notify(note, severity="warning", markup=False, timeout=15)
        rows.show(view.tab(self.controller.state, rows.size.width, rows.size.height))
        self._set_timer_for_play()

    def _set_timer_for_play(self) -> None:
        playing = self.controller.state.timeline.playing
        if playing and self._timer is None:
            self._timer = self.set_interval(PLAY_INTERVAL, self._tick)
        elif not playing and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _tick(self) -> None:
        if self.controller.tick():
            self.draw()

    @property
    def _table_rows(self) -> int:
        return view.table_rows(self.controller.state, self.size.width, self.size.height)

    # -- keys -----------------------------------------------------------------------------------

    def action_view(self) -> None:
        self.controller.next_view(joined=view.together(self.size.width, self.size.height))
        self.draw()

    def action_layer(self, by: int) -> None:
        self.controller.move_layer(by)
        self.draw()

    def action_down(self, by: int) -> None:
        if self.controller.state.view == "table":
            self.controller.scroll(by, self._table_rows)
        else:
            self.controller.move_layer(by)
        self.draw()

    def action_move(self, by: int) -> None:
        self.controller.move(by)
        self.draw()

    def action_lines(self, by: int) -> None:
        state, (columns, lines) = self.controller.state, self.size
        if state.view == "table":
            self.controller.scroll(by * self._table_rows, self._table_rows)
        elif state.view == "load" and not view.together(columns, lines):
            self.controller.page_experts(by * view.visible_experts(state, lines))
        else:
            self.controller.move_lines(by, view.text_columns(columns, lines))
        self.draw()

    def action_timeline(self, by: int) -> None:
        self.controller.move_step(by)
        self.draw()

    def action_play(self) -> None:
        self.controller.play()
        self.draw()

    def action_checkpoint(self) -> None:
        def show(which: Which) -> None:
            self.controller.show_checkpoint(which)
            self.draw()

        pick_from_timeline(self.app, "moe", self.controller.state.timeline, show)

    def action_follow(self) -> None:
        self.controller.show_checkpoint("newest")
        self.draw()

    def action_toggle_best(self) -> None:
        self.controller.toggle_best()
        self.draw()

    def _clicked(self, x: int, y: int, size: Size) -> None:
        if (state := clicked(self.controller.state, size, x, y)) is not None:
            self.controller.state = state
            self.draw()

    def action_digits(self) -> None:
        self.controller.toggle_digits()
        self.draw()

    def action_classes(self) -> None:
        self.controller.toggle_classes()
        self.draw()

    def action_expert(self) -> None:
        self.controller.next_expert()
        self.draw()

    def action_ablate(self) -> None:
        self.controller.request_ablations()
        self.draw()

    def action_order(self) -> None:
        self.controller.next_order()
        self.draw()

    # -- the text -------------------------------------------------------------------------------

    def action_corpus(self) -> None:
        self.controller.random_lines()
        self.controller.refresh()
        self.draw()

    def action_generated(self) -> None:
        text = self._generated()
        if text:
            self._use(text, "the Generate tab", self.focus)
        else:
            self.controller.say("The Generate tab has no text yet: 2, then g")
        self.draw()

    def action_type(self) -> None:
        if self.controller.state.empty_reason:
            return
        self.query_one("#experts-field").display = True
        field = self.query_one(TextField)
        field.value = self.controller.text.replace("\n", "\\n")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._use(event.value.replace("\\n", "\n"), "typed", self.query_one(TextField).focus)

    def on_input_changed(self, event: Input.Changed) -> None:
        unknown = self._unknown(event.value.replace("\\n", "\n"))
        words = f"not in the vocabulary: {summarize(sorted(unknown), 8)}"
        self.controller.say(words if unknown else "")
        self.draw()

    def on_text_field_left(self) -> None:
        self.controller.say("")
        self._close_field()

    def _use(self, text: str, source: str, cancel: Callable[[], object]) -> None:
        """Show a text, after asking what to do with unknown characters; `cancel` if the user
        cancels."""

        def use(known: str) -> None:
            if known:
                self.controller.set_text(known, source)
                self._close_field()
            else:
                self.controller.say("The text is empty: type at least one character")
            self.draw()

        resolve_unknown(self.app, text, self._unknown, use, cancel)

    def _close_field(self) -> None:
        self.query_one("#experts-field").display = False
        self.focus()
        self.call_after_refresh(self.draw)
