"""The app: composes the tabs and gives them the open run; the keys that work in every tab."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import ContentSwitcher

from tinygpt.errors import TinyGPTError
from tinygpt.run import CheckpointList, RunState
from tinygpt_tui import log
from tinygpt_tui.attention.pane import AttentionPane
from tinygpt_tui.attention.text_entry import GeneratedText
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.experts.pane import ExpertsPane
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.pane import GeneratePane
from tinygpt_tui.keymap import GENERAL, RUN, TAB_KEYS, Key, available, keys_of, titles_of
from tinygpt_tui.monitor.follower import RunUpdate, RunUpdated
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.open_run import OpenRun, choose_run, planned_minutes
from tinygpt_tui.monitor.overlays import OverlayMonitor
from tinygpt_tui.monitor.seed_spread import seed_spread
from tinygpt_tui.render.header_footer import TITLES
from tinygpt_tui.render.heatmap import Paint
from tinygpt_tui.run_control import RunControl
from tinygpt_tui.screens.compare_runs import compare_runs
from tinygpt_tui.screens.help import HelpScreen
from tinygpt_tui.screens.key_search import Command, commands
from tinygpt_tui.screens.palette import Palette
from tinygpt_tui.screens.runs import RunRenamed, RunsResult, RunsScreen
from tinygpt_tui.screens.start import Start
from tinygpt_tui.shell.terminal import handle_terminal, has_selection
from tinygpt_tui.shell.terminal_app import TerminalApp
from tinygpt_tui.train.pane import TrainPane
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.header_footer import Footer, Header

TABS = tuple(TITLES)


class LabApp(TerminalApp[int]):
    """The app on the runs in the folder `out`.

    `run` is opened first, by default the latest; then `first` is done, which gets the app.
    """

    TITLE = "tinygpt-tui"
    BINDINGS: ClassVar[list[BindingType]] = bindings(RUN, GENERAL)
    CSS = """
    Screen { layout: vertical; }
    #header, #footer { height: 1; }
    #tabs { height: 1fr; }
    """

    def __init__(
        self,
        out: Path,
        run: Path | None = None,
        *,
        ascii: bool = False,
        first: Callable[[LabApp], None] = lambda _: None,
    ) -> None:
        super().__init__(ascii=ascii)
        self.out = out
        self._first_run, self._do_first = run, first
        self.current_run = OpenRun(self)
        self.control = RunControl(
            self,
            out,
            self.current_run,
            open_run=self.open_run,
            show_note=self.show_note,
            show_request=self.draw_header_and_footer,
        )
        # The pane does not exist before compose.
        self.overlays = OverlayMonitor(self, lambda runs: self.train.overlay(runs))  # noqa: PLW0108
        self.engine = Engine(lambda: self.current_run.trainer_pid)

    def compose(self) -> ComposeResult:
        yield Header(self.action_tab)
        with ContentSwitcher(initial="train", id="tabs"):
            yield TrainPane(id="train", ascii=self.ascii)
            generate = GeneratePane(self.engine, id="generate")
            yield generate
            controller = generate.controller
            glyphs = self.ascii or self.no_color or self.few_colors
            paint = Paint(glyphs=glyphs, full=self.truecolor)
            generated = partial(_generated, controller)
            yield AttentionPane(self.engine, generated, paint, id="attention")
            digits = self.ascii or self.few_colors
            yield ExpertsPane(
                self.engine,
                partial(_generated_text, controller),
                partial(_unknown, controller),
                id="experts",
                digits=digits,
            )
        yield Footer(self.press)

    def on_mount(self) -> None:
        self.theme = "textual-dark"
        handle_terminal(self, self.engine.close)
        self.call_after_refresh(self._open_first)
        self.overlays.start()

    def on_unmount(self) -> None:
        self.engine.close()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw_header_and_footer)

    # -- the tabs

    @property
    def train(self) -> TrainPane:
        """The Train tab."""
        return self.query_one(TrainPane)

    @property
    def generate(self) -> GeneratePane:
        """The Generate tab."""
        return self.query_one(GeneratePane)

    @property
    def attention(self) -> AttentionPane:
        """The Attention tab."""
        return self.query_one(AttentionPane)

    @property
    def experts(self) -> ExpertsPane:
        """The Experts tab."""
        return self.query_one(ExpertsPane)

    @property
    def tab(self) -> str:
        """The name of the visible tab."""
        return str(self.query_one(ContentSwitcher).current)

    def action_tab(self, name: str) -> None:
        self.query_one(ContentSwitcher).current = name
        self.query_one(f"#{name}").focus()
        if name == "generate":
            self.generate.activate()
        if name == "attention":
            self.attention.activate()
        if name == "experts":
            self.experts.activate()
        if name == "train":
            self.train.schedule(soon=True)
            if self.run_path is None:
                self.train.show_start()
        self.draw_header_and_footer()

    def action_next_tab(self, by: int) -> None:
        self.action_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    # -- the open run

    @property
    def run_path(self) -> Path | None:
        """The directory of the open run."""
        return self.current_run.path

    @property
    def history(self) -> History:
        """The records of the open run so far."""
        return self.current_run.history

    @property
    def state(self) -> RunState | None:
        """The latest known state of the open run."""
        return self.current_run.state

    @work(thread=True, exclusive=True, group="first", exit_on_error=False)
    def _open_first(self) -> None:
        try:
            path, notice = choose_run(self.out, self._first_run)
        except TinyGPTError as error:
            self.call_from_thread(self.report_error, str(error))
            path, notice = None, None
        self.call_from_thread(self.open_run, path)
        self.call_from_thread(self._do_first, self)
        if notice:
            self.call_from_thread(self.notify, notice, markup=False)
        # Takes 0.1 s, for which the first chart would have to wait.
        importlib.import_module("plotext")

    def open_run(self, path: Path | None, note: str | None = None) -> None:
        """Show this run in every tab; None shows the start screen."""
        self.current_run.open(path)
        self.generate.open(path)
        self.attention.open(path)
        self.experts.open(path)
        if path is None:
            self.train.show_start()
        else:
            minutes, seeds = planned_minutes(path), seed_spread(path)
            self.train.open(history=self.history, minutes=minutes, seeds=seeds)
            self.train.update_state(note=note)
        self.draw_header_and_footer()

    def on_run_updated(self, message: RunUpdated) -> None:
        if self.is_running and self.current_run.is_current(message):  # its tabs may be gone
            self.apply_update(message.update)

    def apply_update(self, update: RunUpdate) -> None:
        """Show an update of the open run in every tab."""
        header_before = self.current_run.summary
        self.current_run.apply(update)
        if update.items:
            self.train.update_state(history=self.history)
            self.experts.update_history(self.history)
        if update.error != self.train.state.error:
            if update.error:
                log.note(update.error)
            self.train.update_state(error=update.error)
        self.train.update_status(update.state, update.machine)
        if update.checkpoints is not None:
            self._update_checkpoints(update.checkpoints)
        if self.current_run.summary != header_before:
            self.draw_header_and_footer()
        self.control.check_start(update)

    def _update_checkpoints(self, checkpoints: dict[str, CheckpointList]) -> None:
        """Show the checkpoints in every tab; say so if another one is shown by default."""
        panes = (self.generate, self.attention, self.experts)
        swapped = [pane for pane in panes if pane.update_checkpoints(checkpoints)]
        if swapped:
            tabs = [TITLES[pane.id or ""] for pane in swapped]
            self.notify(_swap_notice(tabs, live=self.current_run.live), timeout=10)

    def show_note(self, note: str | None) -> None:
        """Show a note about the open run in the Train tab; None removes it."""
        self.train.update_state(note=note, soon=True)

    def action_pause(self) -> None:
        self.control.toggle_pause()

    def action_checkpoint(self) -> None:
        self.control.write_checkpoint()

    def action_stop(self) -> None:
        self.control.stop()

    def action_resume(self) -> None:
        self.control.resume()

    def action_leave(self) -> None:
        self.control.quit()

    async def action_quit(self) -> None:
        """Quit by Textual's own key or by Ctrl-C, which copies text that is selected instead."""
        if has_selection(self):
            raise SkipAction
        self.control.quit()

    # -- other runs

    def on_start_chosen(self, message: Start.Chosen) -> None:
        self.control.start_preset(message.preset)

    def action_new_run(self) -> None:
        self.control.fill_form({})

    def action_run_info(self) -> None:
        self.control.show_info()

    def action_runs(self) -> None:
        screen = RunsScreen(self.out, current=self.run_path, overlays=self.overlays.paths)
        self.push_screen(screen, self._on_run_chosen)

    def _on_run_chosen(self, result: RunsResult | None) -> None:
        if self.run_path is not None and not os.path.isdir(self.run_path):
            self.open_run(None)
        if result is None:
            return
        if result.action in ("resume", "clone"):
            self.control.do(result.action, result.paths[0])
        elif result.action == "open":
            self.open_run(result.paths[0])
            self.overlays.remove(result.paths[0])
        else:
            self.overlays.show(result.paths)

    def on_run_renamed(self, message: RunRenamed) -> None:
        self.control.rename(message.old, message.new)
        if message.old == self.run_path:
            self.open_run(message.new)
        self.overlays.rename(message.old, message.new)

    def action_compare_overlays(self) -> None:
        if self.run_path is not None and self.overlays.paths:
            compare_runs(self, self.out, [self.run_path, *self.overlays.paths])

    def action_clear_overlays(self) -> None:
        self.overlays.show(())

    # -- header, footer and keys

    def draw_header_and_footer(self) -> None:
        """Draw the header and the footer."""
        self.query_one(Header).show_run(self.tab, self.current_run)
        self.query_one(Footer).show_keys(self.available_keys(self.tab))

    async def press(self, key: Key) -> None:
        """Do what a key does."""
        target = self.query_one(f"#{self.tab}") if key in TAB_KEYS[self.tab] else self
        await self.run_action(key.action, target)

    def available_keys(self, tab: str) -> list[Key]:
        """The keys that have an effect in a tab now, the most important first."""
        overlays = {"overlays"} if self.overlays.paths else set()
        return available(
            keys_of(tab, has_run=self.run_path is not None),
            self.current_run.conditions | overlays,
            self.current_run.labels,
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the Tab key to the fields of a dialog while one is open."""
        del parameters
        return action != "next_tab" or len(self.screen_stack) == 1

    def action_help(self, group: str = "") -> None:
        """List all keys, first those of a group, by default of those that the open tab has."""
        self.push_screen(HelpScreen([group] if group else titles_of(self.tab)))

    def action_command_palette(self) -> None:
        keys = {tab: self.available_keys(tab) for tab in TABS}
        self.push_screen(Palette(commands(self.tab, keys)), self._run_command)

    async def _run_command(self, command: Command | None) -> None:
        if command is not None:
            if command.tab not in ("", self.tab):
                self.action_tab(command.tab)
            await self.press(command.key)


def _unknown(controller: GenerateController, text: str) -> set[str]:
    """The characters of a text that are not in the open run's vocabulary."""
    controller.load_vocabulary()
    return controller.unknown(text)


def _generated_text(controller: GenerateController) -> str:
    """The text in the Generate tab; empty without one."""
    generated = _generated(controller)
    return generated.text if generated else ""


def _generated(controller: GenerateController) -> GeneratedText | None:
    """The text in the Generate tab and the position of its cursor; None without a text."""
    text, cursor = controller.text, controller.cursor
    if text is None:
        return None
    at = None
    if cursor is not None:
        at = len(text.prompt) + sum(len(token.text) for token in text.tokens[:cursor])
    return GeneratedText(text.prompt + text.text, at)


def _swap_notice(tabs: Sequence[str], *, live: bool) -> str:
    """What is said when the tabs show another checkpoint because the run has ended, or goes on."""
    where = ", ".join(tabs[:-1]) + (" and " if tabs[1:] else "") + tabs[-1]
    if live:
        return f"Training goes on: the newest checkpoint is followed again in {where}. B: the best"
    return f"Training has ended: the best checkpoint is now used in {where}. B: the newest"
