"""The Attention tab's widget: keys act on the controller, the view draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.geometry import Size
from textual.timer import Timer

from tinygpt.run import CheckpointList, Which
from tinygpt_tui import theme
from tinygpt_tui.attention import cursor, layout, state, view
from tinygpt_tui.attention.clicks import clicked
from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.attention.saving import ask_and_save
from tinygpt_tui.attention.state import COLOURS, PIXEL_SIZES, POOLINGS, SCALES, Choice
from tinygpt_tui.attention.text_entry import (
    GeneratedText,
    TextEntry,
    inspect_file,
    inspect_generated,
)
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.engine.results import MODES
from tinygpt_tui.keymap import ATTENTION
from tinygpt_tui.render.heatmap import Paint
from tinygpt_tui.render.svg import svg
from tinygpt_tui.screens.dialog import AskText
from tinygpt_tui.screens.file_name import file_problem, typed_path
from tinygpt_tui.screens.pick_checkpoint import pick_from_timeline
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_history import PromptHistory

FRAME = 0.03
"""Least seconds between two frames for replies of the engine."""
PLAY_INTERVAL = 0.5
"""Least seconds that each checkpoint is shown while the timeline plays."""


class AttentionPane(Container):
    """All heads, one head, a window of its map, and the text: Enter zooms in, Esc out."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(ATTENTION)
    DEFAULT_CSS = """
    AttentionPane { height: 1fr; }
    AttentionPane #attention-view { height: 1fr; }
    """
    can_focus = True

    def __init__(
        self,
        engine: Engine,
        generated: Callable[[], GeneratedText | None],
        paint: Paint,
        *,
        id: str | None = None,
    ) -> None:
        """`generated` returns the text of the Generate tab; `paint` suits the terminal."""
        super().__init__(id=id)
        self.engine, self._generated = engine, generated
        self.controller = AttentionController(ask_for(self, engine), engine.new_job, paint)
        self._next_frame: Timer | None = None
        self._clock: Timer | None = None
        self._drawn = 0.0

    def compose(self) -> ComposeResult:
        yield TextEntry(self.controller, self.draw, self._leave_entry)
        yield CellView(id="attention-view", clicked=self._clicked)

    def open(self, run: Path | None) -> None:
        """Inspect this run's models from now on."""
        self.controller.open(run)
        self.draw()

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether another one is shown
        because the run has ended or was resumed."""
        before = self.controller.timeline
        if self.controller.update_checkpoints(checkpoints) and self.is_on_screen:
            self.activate()
        return self.controller.timeline.swapped_since(before)

    def activate(self) -> None:
        """Called when the user switches to this tab: inspect a text, by default the one generated
        or a fixed line of the corpus."""
        controller = self.controller
        controller.load_vocabulary()
        if controller.available_variants:
            self.engine.start()
            generated = None if controller.text else self._generated()
            if generated is not None and len(generated.text) > 1:
                controller.set_text(generated.text, "Generate", generated.at)
            prompt = PromptHistory().suggestion(
                controller.unknown, shakespeare=controller.on_shakespeare
            )
            controller.set_default_text(prompt or "")
            controller.refresh()
        self.draw()

    # -- drawing --------------------------------------------------------------------------------

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def on_show(self) -> None:
        self.draw()

    @property
    def choice(self) -> Choice:
        """What is selected, and how it is drawn."""
        return self.controller.choice

    @property
    def room(self) -> tuple[int, int]:
        """Columns and lines of the drawing area."""
        size = self.query_one("#attention-view", CellView).size
        return size.width, size.height

    def choose(self, choice: Choice) -> None:
        """Change what is selected or how it is drawn."""
        self.controller.choice = choice
        self.draw()

    def _change_paint(self, **changes: object) -> None:
        self.choose(replace(self.choice, paint=replace(self.choice.paint, **changes)))  # type: ignore[arg-type]

    def draw_later(self) -> None:
        """Draw with the next frame."""
        if self._next_frame is None:
            wait = max(FRAME - (time.monotonic() - self._drawn), 0.001)
            self._next_frame = self.set_timer(wait, self.draw)

    def draw(self) -> None:
        """Draw everything now; rows that did not change cost nothing."""
        if self._next_frame is not None:
            self._next_frame.stop()
            self._next_frame = None
        columns, lines = self.room
        if not self.is_on_screen or not columns or not lines:
            return
        self._drawn = time.monotonic()
        if note := self.controller.take_note():
            self.notify(note, severity="warning", markup=False, timeout=15)
        self.controller.choice = layout.with_cursor_visible(self.controller.state(), columns, lines)
        rows = view.tab(self.controller.state(), columns, lines)
        self.query_one("#attention-view", CellView).show(rows)

    def on_engine_reply(self, message: EngineReply) -> None:
        if self.controller.handle_reply(message.reply):
            self.draw_later()

    # -- levels and the cursor ------------------------------------------------------------------

    def action_enter(self) -> None:
        skip_window = self.choice.level == "head" and self._window_is_redundant()
        self.choose(state.change_level(self.choice, 2 if skip_window else 1))

    def _window_is_redundant(self) -> bool:
        return cursor.window_is_redundant(self.controller.state(), self.room)

    def action_back(self) -> None:
        if self.controller.timeline.playing:
            self.action_play()
            return
        self.controller.message = ""
        skip_window = self.choice.level == "text" and self._window_is_redundant()
        self.choose(state.change_level(self.choice, -2 if skip_window else -1))

    def action_move(self, across: int, down: int) -> None:
        self.choose(cursor.moved(self.controller.state(), self.room, across, down))

    def action_jump(self, where: str) -> None:
        shown = self.controller.shown
        if shown is not None and shown.size:
            query = 0 if where == "first" else shown.size - 1
            self.choose(state.fitted(replace(self.choice, query=query), shown))

    def action_head(self, by: int) -> None:
        if self.controller.shown is not None:
            self.choose(state.cycle(self.choice, self.controller.shown, heads=by))

    def action_layer(self, by: int) -> None:
        if self.controller.shown is not None:
            self.choose(state.cycle(self.choice, self.controller.shown, layers=by))

    def _clicked(self, x: int, y: int, size: Size) -> None:
        choice = clicked(self.controller.state(), size, x, y)
        if choice is not None:
            self.choose(choice)

    # -- how it is drawn ------------------------------------------------------------------------

    def action_mode(self) -> None:
        mode = MODES[(MODES.index(self.choice.mode) + 1) % len(MODES)]
        level = "head" if self.choice.level == "grid" and mode != "head" else self.choice.level
        self.choose(replace(self.choice, mode=mode, level=level))

    def action_statistic(self) -> None:
        self.controller.next_statistic()
        self.draw()

    def action_sort(self) -> None:
        self.choose(replace(self.choice, ordered=not self.choice.ordered))

    def action_survey(self) -> None:
        self.controller.request_survey()
        self.notify("Measuring all heads over a sample of the validation split", timeout=2)

    def action_ablate(self) -> None:
        self.controller.request_ablations()
        self.draw()

    def action_colours(self) -> None:
        self._change_paint(colours=state.next_name(self.choice.paint.colours, COLOURS))

    def action_scale(self) -> None:
        self._change_paint(scale=state.next_name(self.choice.paint.scale, SCALES))

    def action_pooling(self) -> None:
        self._change_paint(pooling=state.next_name(self.choice.paint.pooling, POOLINGS))

    def action_zoom(self, by: int) -> None:
        factor = self.choice.factor or (2 if by < 0 else 1)
        place = min(max(PIXEL_SIZES.index(factor) + by, 0), len(PIXEL_SIZES) - 1)
        level = "window" if self.choice.level == "head" and by > 0 else self.choice.level
        self.choose(replace(self.choice, factor=PIXEL_SIZES[place], level=level))

    def action_incoming(self) -> None:
        self.choose(replace(self.choice, incoming=not self.choice.incoming, level="text"))

    def action_pin(self) -> None:
        if self.controller.toggle_pin():
            self.notify("Pinned left: choose another head, model, step or text", timeout=3)
        self.draw()

    # -- which model ----------------------------------------------------------------------------

    def action_variant(self) -> None:
        if not self.controller.switch_variant():
            self.notify("The other model has no checkpoint", timeout=2)
        self.draw()

    def action_timeline(self, by: int) -> None:
        self.controller.move_step(by)
        self.draw()

    def action_play(self) -> None:
        self.controller.play()
        if self._clock is None:
            self._clock = self.set_interval(PLAY_INTERVAL, self._advance, pause=True)
        if self.controller.timeline.playing:
            self._clock.reset()
            self._clock.resume()
        else:
            self._clock.pause()
        self.draw()

    def _advance(self) -> None:
        """Show the next checkpoint if this one has loaded; stop at the last."""
        controller = self.controller
        if (
            not controller.timeline.playing
            or not self.is_on_screen
            or (not controller.busy and not controller.move_step(1))
        ):
            controller.stop()
        if not controller.timeline.playing and self._clock is not None:
            self._clock.pause()
        self.draw()

    def action_toggle_best(self) -> None:
        self.controller.toggle_best()
        self.draw()

    def action_checkpoint(self) -> None:
        def show(which: Which) -> None:
            self.controller.show_checkpoint(which)
            self.draw()

        pick_from_timeline(self.app, self.controller.variant, self.controller.timeline, show)

    # -- which text -----------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        if not self.controller.page(by):
            self.notify("There is no more text in that direction", timeout=2)
        self.draw()

    def action_type(self) -> None:
        self.query_one(TextEntry).open()
        self.call_after_refresh(self.draw)

    def _leave_entry(self) -> None:
        self.focus()
        self.call_after_refresh(self.draw)

    def action_corpus(self) -> None:
        self.controller.random_line()
        self.draw()

    def action_generated(self) -> None:
        inspect_generated(self.controller, self._generated())
        self.draw()

    def action_file(self) -> None:
        def answered(name: str | None) -> None:
            if name:
                inspect_file(self.controller, typed_path(name))
                self.draw()

        self.app.push_screen(
            AskText("Inspect the text of a file", "", file_problem, title="File"), answered
        )

    # -- files ----------------------------------------------------------------------------------

    def action_save(self) -> None:
        ask_and_save(self.app, self.controller.state(), self._picture)

    def _picture(self) -> str:
        dark = self.app.current_theme.dark
        rows = self.query_one("#attention-view", CellView).rows
        return svg(rows, lambda name: theme.style(name, dark=dark), dark=dark)
