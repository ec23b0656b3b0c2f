"""The Experts tab's widget: keys act on the controller, the view draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text as Rich
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from tinygpt.data.tokenizer import summarize
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.experts import view
from tinygpt_tui.experts.controller import ExpertsController
from tinygpt_tui.keymap import EXPERTS
from tinygpt_tui.monitor.history import History
from tinygpt_tui.screens.unknown_characters import with_known
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

FRAME = 0.6
"""Seconds that a checkpoint of the timeline is seen, at least."""


class TextField(Input):
    """The text to look at; backslash and n begin a new line, Esc leaves things as they were."""

    DEFAULT_CSS = """
    TextField, TextField:focus { border: none; height: 1; padding: 0; width: 1fr;
                                 background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Left(Message):
        """Esc was pressed."""

    def action_leave(self) -> None:
        """Nothing is changed."""
        self.post_message(self.Left())


class ExpertsPane(Container):
    """Load, balance, text, path, table."""

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
        """`generated` is the text of the Generate tab, `unknown` what of a text no model knows."""
        super().__init__(id=id)
        self._engine, self._generated, self._unknown = engine, generated, unknown
        self.controller = ExpertsController(ask_for(self, engine), engine.number, digits=digits)
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """One view, and a field under it while a text is typed."""
        yield CellView(id="experts-view")
        with Horizontal(id="experts-field"):
            yield Static(Rich(" text ", "bold"))
            yield TextField(compact=True, select_on_focus=True)

    def on_mount(self) -> None:
        """Without colours, digits say which expert it is."""
        if self.app.no_color and not self.controller.scene.digits:
            self.controller.toggle_digits()

    # -- what comes from outside ----------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Look at this run from now on."""
        self.controller.open(run)
        self.draw()

    def news(self, history: History) -> None:
        """The records say more."""
        if self.controller.news(history):
            self.draw()

    def checkpoints(self, kept: dict[str, list[int]]) -> None:
        """The run's checkpoints, as they were just listed."""
        if self.controller.checkpoints(kept.get("moe", [])):
            self.draw()

    def shown(self) -> None:
        """The tab is on the screen."""
        if self.controller.scene.steps:
            self._engine.start()
        self.controller.wake(self._generated())
        self.draw()

    def on_show(self) -> None:
        """Catch up."""
        self.draw()

    def on_hide(self) -> None:
        """Ask for nothing that nobody sees."""
        self.controller.sleep()

    def on_resize(self, _: events.Resize) -> None:
        """Lay everything out anew."""
        self.call_after_refresh(self.draw)

    def on_engine_reply(self, message: EngineReply) -> None:
        """Take it in."""
        if self.controller.take(message.reply):
            self.draw()

    # -- drawing --------------------------------------------------------------------------------

    def draw(self) -> None:
        """Everything, now; what is equal costs nothing."""
        rows = self.query_one("#experts-view", CellView)
        if not self.is_on_screen or not rows.size.width:
            return
        rows.show(view.tab(self.controller.scene, rows.size.width, rows.size.height))
        self._keep_time()

    def _keep_time(self) -> None:
        """A clock while the timeline plays, and none while it does not."""
        playing = self.controller.scene.playing
        if playing and self._timer is None:
            self._timer = self.set_interval(FRAME, self._tick)
        elif not playing and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _tick(self) -> None:
        if self.controller.tick():
            self.draw()

    @property
    def _rows(self) -> int:
        """Of the table."""
        return view.table_rows(self.controller.scene, self.size.width, self.size.height)

    @property
    def _joined(self) -> bool:
        return view.together(self.size.width, self.size.height)

    # -- keys -----------------------------------------------------------------------------------

    def action_view(self) -> None:
        """Load, text, table."""
        self.controller.next_view(joined=self._joined)
        self.draw()

    def action_layer(self, by: int) -> None:
        """Another layer."""
        self.controller.move_layer(by)
        self.draw()

    def action_down(self, by: int) -> None:
        """Another layer; in the table, other rows."""
        if self.controller.scene.view == "table":
            self.controller.scroll(by, self._rows)
        else:
            self.controller.move_layer(by)
        self.draw()

    def action_move(self, by: int) -> None:
        """Along the text."""
        self.controller.move(by)
        self.draw()

    def action_lines(self, by: int) -> None:
        """By a line; in the table, by a page."""
        if self.controller.scene.view == "table":
            self.controller.scroll(by * self._rows, self._rows)
        else:
            self.controller.move_lines(by, view.text_columns(self.size.width, self.size.height))
        self.draw()

    def action_timeline(self, by: int) -> None:
        """Another checkpoint."""
        self.controller.move_step(by)
        self.draw()

    def action_play(self) -> None:
        """The timeline."""
        self.controller.play()
        self.draw()

    def action_follow(self) -> None:
        """The newest."""
        self.controller.follow()
        self.draw()

    def action_digits(self) -> None:
        """Experts as numbers."""
        self.controller.toggle_digits()
        self.draw()

    def action_classes(self) -> None:
        """Characters or their classes."""
        self.controller.toggle_classes()
        self.draw()

    def action_expert(self) -> None:
        """Whose characters stand first."""
        self.controller.next_expert()
        self.draw()

    def action_order(self) -> None:
        """Of the table's rows."""
        self.controller.next_order()
        self.draw()

    # -- the text -------------------------------------------------------------------------------

    def action_corpus(self) -> None:
        """Random lines."""
        self.controller.random_lines()
        self.controller.refresh()
        self.draw()

    def action_generated(self) -> None:
        """What the Generate tab shows."""
        text = self._generated()
        if text:
            self._known(text, "the Generate tab", self.focus)
        else:
            self.controller.say(
                "Nothing was written on the Generate tab yet: 2 goes there, g writes."
            )
        self.draw()

    def action_write(self) -> None:
        """Open the field."""
        if self.controller.scene.nothing:
            return
        self.query_one("#experts-field").display = True
        field = self.query_one(TextField)
        field.value = self.controller.text.replace("\n", "\\n")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look at it, if it is a text."""
        self._known(event.value.replace("\\n", "\n"), "typed", self.query_one(TextField).focus)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once which characters no model knows."""
        unknown = self._unknown(event.value.replace("\\n", "\n"))
        words = f"not in the vocabulary of this run: {summarize(sorted(unknown), 8)}"
        self.controller.say(words if unknown else "")
        self.draw()

    def on_text_field_left(self) -> None:
        """As it was."""
        self.controller.say("")
        self._close_field()

    def _known(self, text: str, source: str, back: Callable[[], object]) -> None:
        """Look at a text once the run knows all its characters; till then the old one stays."""

        def take(known: str) -> None:
            if known:
                self.controller.set_text(known, source)
                self._close_field()
            else:
                self.controller.say("There is no text: type at least one character, or Esc.")
            self.draw()

        with_known(
            self.app,
            text,
            self._unknown,
            take,
            back,
        )

    def _close_field(self) -> None:
        self.query_one("#experts-field").display = False
        self.focus()
        self.call_after_refresh(self.draw)
