"""The app: composes the tabs, and owns what they share: which run is open, and who follows it."""

from __future__ import annotations

import asyncio
import importlib
import os
import select
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual import work
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widgets import ContentSwitcher
from textual.worker import Worker, WorkerState

from tinygpt.errors import TinyGPTError
from tinygpt.run import Item, RunState, current_run, read_config, request
from tinygpt.run.control import Request
from tinygpt.run.manage import resume_problem
from tinygpt_tui import log
from tinygpt_tui.attention.pane import AttentionPane
from tinygpt_tui.attention.text_entry import GeneratedText
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.experts.pane import ExpertsPane
from tinygpt_tui.generate.pane import GeneratePane
from tinygpt_tui.keymap import CHARTS, EXPERTS, GENERAL, LOOK, RUN, WRITE, Key
from tinygpt_tui.launch import trainer_process
from tinygpt_tui.line_filters import AsciiFilter, ControlCharacterFilter
from tinygpt_tui.monitor import overlays
from tinygpt_tui.monitor.follower import Follower, RunUpdate, RunUpdated
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import OverlaySet
from tinygpt_tui.render.header_footer import TITLES, footer_row, header_row
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.screens.help import HelpScreen
from tinygpt_tui.screens.new_run import NewRunScreen
from tinygpt_tui.screens.runs import Renamed, RunsResult, RunsScreen
from tinygpt_tui.screens.start import Start
from tinygpt_tui.textual_patches import OneKeyAtATime, only_changed
from tinygpt_tui.train.pane import TrainPane
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView

TABS = tuple(TITLES)
TERMINAL_PERIOD = 2.0
"""Seconds between two looks whether there still is a terminal."""
OWN = {"generate": WRITE, "attention": LOOK, "experts": EXPERTS}
"""The keys of the tabs that have most letters to themselves."""


class LabApp(OneKeyAtATime[int]):
    """The terminal laboratory on the runs in one folder."""

    TITLE = "tinygpt-tui"
    BINDINGS: ClassVar[list[BindingType]] = bindings(RUN, GENERAL)
    CSS = """
    Screen { layout: vertical; }
    #header, #footer { height: 1; }
    #tabs { height: 1fr; }
    """

    def __init__(self, out: Path, run: Path | None = None, *, ascii: bool = False) -> None:
        super().__init__()
        self.out, self.wanted, self.ascii = out, run, ascii
        self.run_path: Path | None = None
        self.history = History()
        self._follower: Follower | None = None
        self._sequence = 0
        self._started: dict[Path, int] = {}
        self.laid = OverlaySet()
        self.engine = Engine()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's, then ours."""
        return [
            *super().get_line_filters(),
            ControlCharacterFilter(),
            *([AsciiFilter()] if self.ascii else []),
        ]

    def compose(self) -> ComposeResult:
        """Header, the four tabs, footer."""
        yield CellView(id="header")
        with ContentSwitcher(initial="train", id="tabs"):
            yield TrainPane(id="train", ascii=self.ascii)
            yield GeneratePane(self.engine, id="generate")
            yield AttentionPane(
                self.engine,
                self._written,
                id="attention",
                glyphs=self.ascii or self.no_color,
            )
            yield ExpertsPane(
                self.engine, self._generated, self._unknown, id="experts", digits=self.ascii
            )
        yield CellView(id="footer")

    def on_mount(self) -> None:
        """Open a run as soon as the first frame is out."""
        self.theme = "textual-dark"
        # Killed by its default, it would leave the terminal raw, without an echo. SIGHUP says that
        # there is no terminal any more.
        with suppress(RuntimeError, ValueError):  # in a thread, as tests may have it
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, self.exit, None, 128 + signal.SIGTERM)
        if os.isatty(0):
            self.set_interval(TERMINAL_PERIOD, self._look_at_terminal)
        self.app_resume_signal.subscribe(self, self._come_back)
        self.call_after_refresh(self._open_first)
        self.set_interval(overlays.PERIOD, self._look_at_overlays)

    def _look_at_terminal(self) -> None:
        """End where the terminal is gone and no SIGHUP said so (after setsid, under nohup): textual
        would read the end of its input for ever, on a whole core."""
        ends = select.poll()
        ends.register(0, 0)
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in ends.poll(0)):
            log.note("the terminal is gone")
            self.engine.close()
            os._exit(128 + signal.SIGHUP)  # there is nobody to restore anything for

    def _come_back(self, _: object) -> None:
        """After Ctrl-Z and fg the terminal is empty: everything is drawn, not what changed."""
        self.screen.refresh(layout=True)
        for widget in self.screen.query("*"):
            widget.refresh()

    def on_unmount(self) -> None:
        """The engine ends with the app."""
        self.engine.close()

    def on_resize(self) -> None:
        """The lines around the tabs depend on the width."""
        self.call_after_refresh(self.draw_shell)

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

    def _written(self) -> GeneratedText | None:
        """What the Generate tab has written, and which of its characters is under the cursor."""
        console = self.generate.controller
        text = console.text
        if text is None:
            return None
        at = None if console.cursor is None else len(text.prompt)
        for token in text.tokens[: console.cursor or 0]:
            at = (at or 0) + len(token.text)
        return GeneratedText(text.prompt + text.text, at)

    @property
    def experts(self) -> ExpertsPane:
        """The Experts tab."""
        return self.query_one(ExpertsPane)

    def _generated(self) -> str:
        """The text of the Generate tab, for tabs that look at one."""
        written = self._written()
        return written.text if written else ""

    def _unknown(self, text: str) -> set[str]:
        """The characters of a text that the open run does not know."""
        self.generate.controller.load_vocabulary()
        return self.generate.controller.unknown(text)

    @property
    def state(self) -> RunState | None:
        """Of the open run, as it was last seen."""
        return self.train.scene.state

    @property
    def tab(self) -> str:
        """The tab that is shown."""
        return str(self.query_one(ContentSwitcher).current)

    @property
    def live(self) -> bool:
        """Whether the open run is being trained."""
        return self.state is not None and self.state.active

    # -- which run ------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="first", exit_on_error=False)
    def _open_first(self) -> None:
        """The run that was named, else the live one, else the newest, else the start screen."""
        try:
            path, why = choose_run(self.out, self.wanted)
        except TinyGPTError as error:
            self.call_from_thread(self.complain, str(error))
            path, why = None, None
        self.call_from_thread(self.open_run, path)
        if why:
            self.call_from_thread(self.notify, why, markup=False)
        # A tenth of a second that the first chart would have to wait for.
        importlib.import_module("plotext")

    def open_run(self, path: Path | None, note: str | None = None) -> None:
        """Follow another run; None shows the start screen."""
        if self._follower:
            self._follower.stop()
            self._follower = None
        self.run_path, self.history = path, History()
        self._sequence += 1
        self.generate.open(path)
        self.attention.open(path)
        self.experts.open(path)
        if path is None:
            self.train.show_start()
        else:
            self.train.open(history=self.history, minutes=planned_minutes(path))
            self.train.update_scene(note=note)
            self._follower = Follower(path, self, self._sequence)
            self._follower.start()
        self.draw_shell()

    def on_run_updated(self, message: RunUpdated) -> None:
        """Fold what was read into the history, and show it."""
        if message.sequence != self._sequence:
            return
        news = message.news
        if news.restarted:
            self.history = History()
        self.take_in(news)

    def take_in(self, news: RunUpdate) -> None:
        """News of the open run."""
        before, start = self.state, self.history.start
        if news.items:
            self.history.add(news.items)
            self.train.update_scene(history=self.history)
            self.experts.news(self.history)
        if news.error != self.train.scene.error:
            if news.error:
                log.note(news.error)
            self.train.update_scene(error=news.error)
        self.train.news(news.state, news.machine)
        if news.kept is not None:
            self.generate.checkpoints(news.kept)
            self.attention.checkpoints(news.kept)
            self.experts.checkpoints(news.kept)
        if self.history.start is not start or _word(self.state) != _word(before):
            self.draw_shell()
        trainer_process.poll_children()
        if news.run in self._started:
            self._look_after_start(news)

    def _look_after_start(self, news: RunUpdate) -> None:
        """Until a training that was begun here has reported; one that dies before says why."""
        pid = self._started[news.run]
        status = news.state.status if news.state else None
        why = trainer_process.early_failure(pid)
        if why or (status is not None and status.pid == pid):
            del self._started[news.run]
            self.train.update_scene(note=why, soon=True)
        if why:
            self.complain(why)

    # -- control --------------------------------------------------------------------------------

    def ask_run(self, what: Request) -> None:
        """Ask the open run for something, through its directory."""
        if self.run_path is None or not self.live:
            self.notify("No run is being trained here: n starts one", severity="warning")
            return
        try:
            request(self.run_path, what)
        except TinyGPTError as error:
            self.complain(str(error))
            return
        if self._follower:
            self._follower.poll_now()

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.ask_run("resume" if self.state and self.state.state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Now."""
        self.ask_run("checkpoint")
        if self.live:
            self.notify("A checkpoint will be written after this step")

    def action_stop(self) -> None:
        """Ask first."""
        if not self.live:
            self.ask_run("stop")
            return
        question = "Stop the training after a checkpoint? It can be resumed later."
        choices = [("s", "stop", "Stop and save"), ("c", "cancel", "Cancel")]
        self.push_screen(
            Ask(
                question,
                choices,
                title="Stop",
            ),
            self._stop_answered,
        )

    def _stop_answered(self, answer: str | None) -> None:
        if answer == "stop":
            self.ask_run("stop")

    def action_resume(self) -> None:
        """Take the open run up again."""
        if self.run_path is None or self.state is None:
            self.notify("There is nothing to resume here", severity="warning")
        elif problem := resume_problem(self.run_path, self.state):
            self.notify(problem, severity="warning", markup=False)
        else:
            self.start_resuming(self.run_path)

    def start_resuming(self, path: Path) -> None:
        """Resume a run in a process of its own, and follow it."""
        try:
            self._started[path] = trainer_process.resume_training(path)
        except (OSError, TinyGPTError) as error:
            self.complain(f"cannot resume: {error}")
            return
        self.open_run(path, "resuming from the newest checkpoint")

    def start_training(self, arguments: list[str], name: str) -> None:
        """Begin a run in a process of its own, and follow it."""
        path = self.out / name
        try:
            self._started[path] = trainer_process.start_training(arguments, self.out, name)
        except (OSError, TinyGPTError) as error:
            self.complain(f"cannot start a training: {error}")
            return
        self.open_run(path, "starting: the first curve comes within seconds")

    def on_start_chosen(self, message: Start.Chosen) -> None:
        """A preset of the start screen."""
        from tinygpt.run import new_run_name  # noqa: PLC0415

        name = new_run_name(self.out, message.preset)
        self.start_training(["--preset", message.preset, "--name", name], name)

    def action_new_run(self) -> None:
        """The form."""
        self.push_screen(
            NewRunScreen(self.out),
            self._form_filled,
        )

    def _form_filled(self, arguments: list[str] | None) -> None:
        if arguments:
            self.start_training(arguments, arguments[arguments.index("--name") + 1])

    def action_runs(self) -> None:
        """All runs."""
        self.push_screen(
            RunsScreen(
                self.out,
                current=self.run_path,
                overlays=self.laid.paths,
            ),
            self._run_chosen,
        )

    def _run_chosen(self, result: RunsResult | None) -> None:
        if self.run_path is not None and not self.run_path.is_dir():
            self.open_run(None)
        if result is None:
            return
        if result.action == "resume":
            self.start_resuming(result.paths[0])
        elif result.action == "open":
            self.open_run(result.paths[0])
        if result.overlays != self.laid.paths:
            self.set_overlays(result.overlays)

    def on_renamed(self, message: Renamed) -> None:
        """Go on with a run under its other name."""
        old, new = message.old, message.new
        if old in self._started:
            self._started[new] = self._started.pop(old)
        if old == self.run_path:
            self.open_run(new)
        if old in self.laid.paths:
            self.set_overlays([new if path == old else path for path in self.laid.paths])

    def set_overlays(self, paths: Sequence[Path]) -> None:
        """Show these runs, and no others, over the charts."""
        self.laid = OverlaySet(paths)
        self.train.overlay(self.laid.shown)
        self._read_overlays()

    def action_clear_overlays(self) -> None:
        """Only the open run again."""
        self.set_overlays(())

    def _look_at_overlays(self) -> None:
        if self.laid.paths:
            self._read_overlays()

    @work(thread=True, group="overlays", exit_on_error=False)
    def _read_overlays(self) -> None:
        laid = self.laid
        for place, items, restarted in laid.news():
            self.call_from_thread(self._overlay_news, laid, place, items, restarted)

    def _overlay_news(
        self,
        laid: OverlaySet,
        place: int,
        items: list[Item],
        restarted: bool,  # noqa: FBT001 - as a thread calls it
    ) -> None:
        laid.take_in(place, items, restarted=restarted)
        if laid is self.laid:
            self.train.overlay(laid.shown)

    # -- the shell ------------------------------------------------------------------------------

    def draw_shell(self) -> None:
        """The header and the footer."""
        width = self.size.width
        name = self.run_path.name if self.run_path else None
        corpus = str(self.history.start.corpus.get("name", "")) if self.history.start else ""
        header = header_row(self.tab, name, corpus, self.state, width)
        self.query_one("#header", CellView).show([header])
        self.query_one("#footer", CellView).show([footer_row(self.possible(), width)])

    def possible(self) -> list[Key]:
        """The keys that would do something now."""
        own: tuple[Key, ...] = ()
        if self.tab == "train" and self.run_path:
            own = CHARTS
        elif self.tab in OWN:
            mine = OWN[self.tab]
            return [key for key in (*mine, *RUN, *GENERAL) if self._has(key.needs)]
        return [key for key in (*RUN, *own, *GENERAL) if self._has(key.needs)]

    def _has(self, needs: str) -> bool:
        match needs:
            case "live":
                return self.live
            case "overlays":
                return bool(self.laid.paths)
            case "resumable":
                return self.state is not None and self.state.resumable
            case _:
                return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tab moves between the fields of a dialog while one is open."""
        del parameters
        return action != "next_tab" or len(self.screen_stack) == 1

    def action_tab(self, name: str) -> None:
        """Show a tab."""
        self.query_one(ContentSwitcher).current = name
        self.query_one(f"#{name}").focus()
        if name == "generate":
            self.generate.shown()
        if name == "attention":
            self.attention.shown()
        if name == "experts":
            self.experts.shown()
        if name == "train":
            self.train.schedule(soon=True)
            if self.run_path is None:
                self.train.show_start()
        self.draw_shell()

    def action_next_tab(self, by: int) -> None:
        """Round and round."""
        self.action_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    def action_toggle_theme(self) -> None:
        """Light or dark."""
        dark = self.current_theme.dark
        self.theme = "textual-light" if dark else "textual-dark"
        for view in self.query(CellView):
            view.repaint()

    def action_help(self) -> None:
        """Every key."""
        self.push_screen(HelpScreen())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: what is possible right now."""
        del screen
        for key in self.possible():
            if key.action != "command_palette":
                yield SystemCommand(f"{key.help} ({key.text})", "", self._runner(key.action))

    def _runner(self, action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            own = CHARTS if self.tab == "train" else OWN.get(self.tab, ())
            mine = any(action == key.action for key in own)
            await self.run_action(action, self.query_one(f"#{self.tab}") if mine else self)

        return run

    async def action_quit(self) -> None:
        """Textual's own key for leaving is no way around the question."""
        if not isinstance(self.screen, Ask):
            self.action_leave()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Textual's way to the terminal, without what did not change."""
        super()._display(screen, only_changed(renderable))

    def action_leave(self) -> None:
        """Ask what is to become of a live run."""
        if not self.live:
            self.exit(0)
            return
        question = f"{self.run_path.name if self.run_path else 'The run'} is still being trained."
        choices = [
            ("l", "leave", "Leave it running"),
            ("s", "stop", "Stop and save"),
            ("c", "cancel", "Cancel"),
        ]
        self.push_screen(
            Ask(
                question,
                choices,
                title="Leave",
            ),
            self._leave_answered,
        )

    def _leave_answered(self, answer: str | None) -> None:
        if answer == "stop":
            self.ask_run("stop")
        if answer in ("leave", "stop"):
            self.exit(0)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed says so; the app goes on."""
        error = event.worker.error
        if event.state == WorkerState.ERROR and error is not None:
            log.note(f"worker {event.worker.name} failed", error)
            self.complain(f"{type(error).__name__}: {error} (see {log.path()})")

    def _handle_exception(self, error: Exception) -> None:
        """Textual shows what ended the app, and forgets it."""
        log.note("the app ended", error)
        super()._handle_exception(error)

    def complain(self, sentence: str) -> None:
        """An error becomes a message, not a crash."""
        log.note(sentence)
        self.notify(sentence, severity="error", timeout=10, markup=False)


def choose_run(out: Path, wanted: Path | None) -> tuple[Path | None, str | None]:
    """The run to open first, and a sentence if it is not a live one that nobody named.

    Raises:
        RunError: `out` cannot be listed.
    """
    if wanted is not None:
        return wanted, None
    run = current_run(out)
    if run is None:
        return None, None
    if run.state.active:
        return run.path, None
    return run.path, f"nothing is being trained: this is the newest run, {run.name}"


def planned_minutes(run: Path) -> float | None:
    """Of run.toml; None without, or before it is written."""
    try:
        minutes = read_config(run).get("minutes")
        return float(minutes) if isinstance(minutes, int | float) else None
    except (TinyGPTError, OverflowError):
        return None


def _word(state: RunState | None) -> str | None:
    return state.state if state else None
