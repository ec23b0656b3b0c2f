"""The Generate tab's widget: keys act on the controller, the view draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.geometry import Size
from textual.timer import Timer

from tinygpt.data.characters import summarize
from tinygpt.generation.params import SamplingParams, describe_filters
from tinygpt.run import CheckpointList
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.engine.protocol import CorpusLine, Failed
from tinygpt_tui.generate import layout, view
from tinygpt_tui.generate.checkpoint_dialog import (
    choose_checkpoint,
    move_step,
    switch_models,
    toggle_best,
)
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.first_prompt import FirstPrompt
from tinygpt_tui.generate.preset_dialog import open_presets
from tinygpt_tui.generate.presets import all_presets, preset_name
from tinygpt_tui.generate.saving import ask_file, copy_text
from tinygpt_tui.generate.setting_field import SettingField
from tinygpt_tui.generate.settings import BY_NAME, step
from tinygpt_tui.generate.sidebar import sidebar_columns
from tinygpt_tui.generate.tree import Text
from tinygpt_tui.generate.tree_dialog import open_tree
from tinygpt_tui.keymap import GENERATE
from tinygpt_tui.screens.unknown_characters import resolve_unknown
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_area import PromptArea
from tinygpt_tui.widgets.prompt_history import PromptHistory

FRAME = 0.08
"""Seconds between two frames while only new tokens arrive."""


class GeneratePane(Container):
    """From top to bottom: prompt, settings, active filters or the field of a setting, texts."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(GENERATE)
    DEFAULT_CSS = """
    GeneratePane { height: 1fr; }
    GeneratePane #settings { height: 2; }
    GeneratePane #chain { height: 1; }
    GeneratePane #texts { height: 1fr; }
    """
    can_focus = True

    def __init__(self, engine: Engine, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.engine = engine
        self.controller = GenerateController(ask_for(self, engine), engine.new_job)
        self.prompt_history = PromptHistory()
        self._first_prompt = FirstPrompt(self.controller, self.prompt_history)
        self.presets = all_presets()
        self._line_jobs: set[int] = set()
        self._timer: Timer | None = None
        self._drawn = 0.0
        self._note = ""

    def compose(self) -> ComposeResult:
        yield PromptArea(self._first_prompt.text, self.controller.unknown, id="prompt")
        yield CellView(id="settings")
        yield CellView(id="chain")
        yield SettingField(self._set_params, self._field_closed, id="field")
        yield CellView(id="texts", clicked=self._clicked)

    def open(self, run: Path | None) -> None:
        """Generate with this run's models from now on."""
        self.controller.open(run)
        self._first_prompt.reset()
        self._update_prompt(ask=False)
        self.draw()

    def activate(self) -> None:
        """Called when the user switches to this tab: start the engine."""
        self.controller.load_vocabulary()
        if self.controller.variants:
            self.engine.start()
        self._update_prompt(ask=True)
        self.draw()

    @property
    def prompt(self) -> str:
        """The text in the editor."""
        return self.query_one(PromptArea).text

    # -- drawing --------------------------------------------------------------------------------

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self.draw)

    def on_show(self) -> None:
        self.draw()

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether others generate because
        the run has ended or was resumed."""
        before = self.controller.timelines
        if not self.controller.update_checkpoints(checkpoints):
            return False
        self.controller.load_vocabulary()
        self._update_prompt(ask=self.is_on_screen)
        self.draw()
        return self.controller.swapped_since(before)

    def _update_prompt(self, *, ask: bool) -> None:
        """Show a prompt that the model can continue; `ask`: if need be, one from the corpus."""
        ask = ask and bool(self.controller.variants)
        self._first_prompt.update(self.query_one(PromptArea), ask=ask)

    def draw_later(self) -> None:
        """Draw with the next frame, however often this is called."""
        if self._timer is None:
            wait = max(FRAME - (time.monotonic() - self._drawn), 0.01)
            self._timer = self.set_timer(wait, self.draw)

    def draw(self) -> None:
        """Draw everything now."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.is_on_screen or not self.size.width:
            return
        self._drawn = time.monotonic()
        if note := self.controller.take_note():
            self.notify(note, severity="warning", markup=False, timeout=15)
        params, width = self.controller.params, self.size.width
        rows = view.settings_rows(params, width)
        divide(self, len(rows))
        self.query_one("#settings", CellView).show(rows)
        name = preset_name(params, self.presets)
        self.query_one("#chain", CellView).show([view.chain_row(params, name, width)])
        texts = self.query_one("#texts", CellView)
        texts.show(layout.texts(self.controller, self._note, *texts.size))

    def on_engine_reply(self, message: EngineReply) -> None:
        reply = message.reply
        if self._first_prompt.handle_reply(reply, self.query_one(PromptArea)):
            return
        if reply.job in self._line_jobs:
            self._line_jobs.discard(reply.job)
            if isinstance(reply, CorpusLine):
                self.query_one(PromptArea).put(reply.text)
            elif isinstance(reply, Failed):
                self.notify(reply.why, severity="warning", markup=False)
            return
        if self.controller.handle_reply(reply):
            if isinstance(reply, Failed) and self.controller.any_failed:
                self._note = "h chooses another checkpoint"
            self.draw_later()

    # -- prompt and generating ------------------------------------------------------------------

    def action_prompt(self) -> None:
        self.query_one(PromptArea).focus()

    def on_prompt_area_left(self) -> None:
        self.focus()

    def on_prompt_area_submitted(self) -> None:
        self.focus()
        self.action_generate()

    def on_prompt_area_recall(self, message: PromptArea.Recall) -> None:
        prompt = self.query_one(PromptArea)
        prompt.put(self.prompt_history.move(message.by, prompt.text))

    def on_prompt_area_random_line(self) -> None:
        self._line_jobs.add(self.controller.ask_corpus_line())

    def on_text_area_changed(self) -> None:
        unknown = self.controller.unknown(self.prompt)
        self._note = f"not in the vocabulary: {summarize(sorted(unknown), 8)}" if unknown else ""
        self.draw()

    def action_generate(self) -> None:
        self._generate_with(self.controller.generate)

    def action_sample_several(self) -> None:
        self._generate_with(self.controller.sample_several)

    def action_replay_checkpoints(self) -> None:
        self._generate_with(self.controller.replay_checkpoints)

    def _generate_with(self, generate: Callable[[str], bool]) -> None:
        """Call `generate` with the prompt, after asking what to do with unknown characters."""
        self.controller.load_vocabulary()

        def start(prompt: str) -> None:
            if prompt != self.prompt:
                self.query_one(PromptArea).put(prompt)
            self.prompt_history.add(prompt)
            self._note = ""
            if not generate(prompt):
                self.notify("No checkpoint yet", severity="warning")
            self.draw()

        resolve_unknown(self.app, self.prompt, self.controller.unknown, start, self.action_prompt)

    def _text_or_warn(self) -> Text | None:
        """The text that keys act on; shows a warning if there is none."""
        if self.controller.text is None:
            self.notify("No text yet: g generates one", severity="warning")
        return self.controller.text

    def action_regenerate(self) -> None:
        if self._text_or_warn() is not None:
            self.controller.regenerate()
        self.draw()

    def action_continue_text(self) -> None:
        self.controller.continue_text()
        self.draw()

    def action_one_token(self) -> None:
        if self.controller.text is None:
            self.action_generate()
            return
        self.controller.step()
        self.draw()

    def action_back(self) -> None:
        if not self.controller.stop():
            self.controller.back()
        self._note = ""
        self.draw()

    def action_models(self) -> None:
        switch_models(self.app, self.controller)
        self.draw()

    def action_compare(self) -> None:
        if self.controller.toggle_compare():
            settings = describe_filters(self.controller.params)
            self.notify(f"A: {settings}. Change the settings for B, then press g", markup=False)
        else:
            self.notify("Comparison off")

    # -- cursor and view ------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        if self.controller.candidate is not None:
            size = self.query_one("#texts", CellView).size
            rows = layout.candidate_grid(self.controller, *size).down
            self.controller.move_candidate(rows if by > 0 else -rows)
        else:
            self.controller.move(by)
        self.draw()

    def action_lines(self, by: int) -> None:
        if self.controller.candidate is not None:
            self.controller.move_candidate(by)
        else:
            self.controller.move_lines(by)
        self.draw()

    def _clicked(self, x: int, y: int, size: Size) -> None:
        layout.click(self.controller, self._note, size, x, y)
        self.draw()

    def action_enter(self) -> None:
        if not self.controller.enter():
            self.action_prompt()
        self.draw()

    def action_switch_side(self) -> None:
        self.controller.switch_side()
        self.draw()

    def action_colour(self) -> None:
        self.controller.next_colour()
        self.draw()

    def action_layer(self, by: int) -> None:
        self.controller.move_layer(by)
        self.draw()

    def action_marks(self) -> None:
        self.controller.toggle_marks()
        self.draw()

    # -- settings and dialogs -------------------------------------------------------------------

    def action_set(self, name: str) -> None:
        params = self.controller.params
        setting = BY_NAME[name]
        if isinstance(getattr(params, name), bool):
            self._set_params(step(params, setting, 1))
            return
        self.query_one("#chain").display = False
        self.query_one(SettingField).open(setting, params)

    def _set_params(self, params: SamplingParams) -> None:
        self.controller.params = params
        self.draw()

    def _field_closed(self) -> None:
        self.query_one("#chain").display = True
        self.focus()
        self.draw()

    def action_presets(self) -> None:
        def done(params: SamplingParams) -> None:
            self.presets = all_presets()
            self._set_params(params)

        open_presets(self.app, self.controller.params, done)

    def action_toggle_best(self) -> None:
        toggle_best(self.app, self.controller)
        self.draw()

    def action_timeline(self, by: int) -> None:
        move_step(self.app, self.controller, by)
        self.draw()

    def action_checkpoint(self) -> None:
        def done() -> None:
            self._note = ""
            self.draw()

        choose_checkpoint(self.app, self.controller, done)

    def action_tree(self) -> None:
        open_tree(self.app, self.controller, self.draw)

    def action_copy(self) -> None:
        if text := self._text_or_warn():
            copy_text(self.app, text)

    def action_save(self) -> None:
        if text := self._text_or_warn():
            ask_file(self.app, text)


def divide(pane: GeneratePane, settings: int) -> None:
    """Give the prompt and the settings, which have so many rows, their heights; the texts get the
    rest, and are drawn again once they have it."""
    columns, lines = pane.size
    prompt = 3 if lines >= 28 else 2
    if lines < 16 or sidebar_columns(columns, lines - prompt - 1):
        settings = 0
    for name, height in (("#prompt", prompt), ("#settings", settings)):
        styles = pane.query_one(name).styles
        if styles.height is None or styles.height.value != height:
            styles.height = height
            pane.call_after_refresh(pane.draw)
