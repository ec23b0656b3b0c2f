"""The app: composes the tabs, and owns what they share: which run is open, and who follows it."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher
from textual.worker import Worker, WorkerState

from tinygpt.errors import TinyGPTError
from tinygpt.run import MetricsReader, RunState, current_run, read_config, request
from tinygpt.run.control import Request
from tinygpt_tui import journal, launch
from tinygpt_tui.cellview import CellView
from tinygpt_tui.follow import Followed, Follower, News
from tinygpt_tui.history import History
from tinygpt_tui.keys import CHARTS, GENERAL, RUN, Key, bindings
from tinygpt_tui.palette import OVERLAYS
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.screens.help import HelpScreen
from tinygpt_tui.screens.new_run import NewRunScreen
from tinygpt_tui.screens.runs import RunsResult, RunsScreen
from tinygpt_tui.screens.start import Start
from tinygpt_tui.shell import TITLES, footer_row, header_row
from tinygpt_tui.soon import SOON, SoonPane
from tinygpt_tui.train.curves import Overlay
from tinygpt_tui.train.pane import TrainPane

TABS = tuple(TITLES)


class LabApp(App[int]):
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
        self.overlaid: tuple[Path, ...] = ()

    def compose(self) -> ComposeResult:
        """Header, the four tabs, footer."""
        yield CellView(id="header")
        with ContentSwitcher(initial="train", id="tabs"):
            yield TrainPane(id="train", ascii=self.ascii)
            for name in TABS[1:]:
                yield SoonPane(SOON[name], id=name)
        yield CellView(id="footer")

    def on_mount(self) -> None:
        """Open a run as soon as the first frame is out."""
        self.theme = "textual-dark"
        self.call_after_refresh(self._open_first)

    def on_resize(self) -> None:
        """The lines around the tabs depend on the width."""
        self.call_after_refresh(self.draw_shell)

    @property
    def train(self) -> TrainPane:
        """The Train tab."""
        return self.query_one(TrainPane)

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
            path, note = choose_run(self.out, self.wanted)
        except TinyGPTError as error:
            self.call_from_thread(self.complain, str(error))
            path, note = None, None
        self.call_from_thread(self.open_run, path, note)
        # A tenth of a second that the first chart would have to wait for.
        importlib.import_module("plotext")

    def open_run(self, path: Path | None, note: str | None = None) -> None:
        """Follow another run; None shows the start screen."""
        if self._follower:
            self._follower.stop()
            self._follower = None
        self.run_path, self.history = path, History()
        self._sequence += 1
        if path is None:
            self.train.show_start()
        else:
            self.train.open(history=self.history, minutes=planned_minutes(path))
            self.train.update_scene(note=note)
            self._follower = Follower(path, self, self._sequence)
            self._follower.start()
        self.draw_shell()

    def on_followed(self, message: Followed) -> None:
        """Fold what was read into the history, and show it."""
        if message.sequence != self._sequence:
            return
        news = message.news
        if news.restarted:
            self.history = History()
        self.take_in(news)

    def take_in(self, news: News) -> None:
        """News of the open run."""
        before = self.state
        if news.items:
            self.history.add(news.items)
            note = None if self.live else self.train.scene.note  # "starting" is over
            self.train.update_scene(history=self.history, note=note)
        if news.error:
            journal.note(news.error)
            self.train.update_scene(note=news.error)
        self.train.news(news.state, news.machine)
        if news.state and (before is None or before.state != news.state.state):
            self._state_changed(news.state)
        launch.poll_children()
        if news.run in self._started:
            self._look_for_failure(news.run)

    def _state_changed(self, state: RunState) -> None:
        if state.active:
            self.train.update_scene(note=None)
        self.draw_shell()

    def _look_for_failure(self, run: Path) -> None:
        """A training that died before its first word says why in its log."""
        why = launch.early_failure(self._started[run])
        if why:
            del self._started[run]
            self.complain(why)
            self.train.update_scene(note=why, soon=True)

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
            self._follower.hurry()

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
            Ask(question, choices, title="Stop", plain=self.ascii), self._stop_answered
        )

    def _stop_answered(self, answer: str | None) -> None:
        if answer == "stop":
            self.ask_run("stop")

    def action_resume(self) -> None:
        """Take the open run up again."""
        if self.run_path is None or self.live:
            self.notify("There is nothing to resume here", severity="warning")
        else:
            self.start_resuming(self.run_path)

    def start_resuming(self, path: Path) -> None:
        """Resume a run in a process of its own, and follow it."""
        try:
            self._started[path] = launch.resume_training(path)
        except (OSError, TinyGPTError) as error:
            self.complain(f"cannot resume: {error}")
            return
        self.open_run(path, "resuming from the newest checkpoint")

    def start_training(self, arguments: list[str], name: str) -> None:
        """Begin a run in a process of its own, and follow it."""
        path = self.out / name
        try:
            self._started[path] = launch.start_training(arguments, self.out, name)
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
        self.push_screen(NewRunScreen(self.out, plain=self.ascii), self._form_filled)

    def _form_filled(self, arguments: list[str] | None) -> None:
        if arguments:
            self.start_training(arguments, arguments[arguments.index("--name") + 1])

    def action_runs(self) -> None:
        """All runs."""
        self.push_screen(
            RunsScreen(self.out, current=self.run_path, overlays=self.overlaid, plain=self.ascii),
            self._run_chosen,
        )

    def _run_chosen(self, result: RunsResult | None) -> None:
        if self.run_path is not None and not self.run_path.is_dir():
            self.open_run(None)
        if result is None:
            return
        self.overlaid = result.overlays
        if result.action == "overlay":
            self.load_overlays(list(result.paths))
        elif result.action == "resume":
            self.start_resuming(result.paths[0])
        else:
            self.open_run(result.paths[0])

    @work(thread=True, exclusive=True, group="overlay", exit_on_error=False)
    def load_overlays(self, paths: list[Path]) -> None:
        """Read other runs whole, then lay them over the charts."""
        overlays = []
        for path, style in zip(paths, OVERLAYS, strict=False):
            history = History()
            with suppress(TinyGPTError):  # what cannot be read is laid over as far as it goes
                history.add(MetricsReader(path).read_all())
            overlays.append(Overlay(path.name, history, style))
        self.call_from_thread(self.train.overlay, overlays)

    # -- the shell ------------------------------------------------------------------------------

    def draw_shell(self) -> None:
        """The header and the footer."""
        width = self.size.width
        name = self.run_path.name if self.run_path else None
        corpus = str(self.history.start.corpus.get("name", "")) if self.history.start else ""
        header = header_row(self.tab, name, corpus, self.state, width, ascii=self.ascii)
        self.query_one("#header", CellView).show([header])
        self.query_one("#footer", CellView).show([footer_row(self.possible(), width)])

    def possible(self) -> list[Key]:
        """The keys that would do something now."""
        charts = CHARTS if self.tab == "train" and self.run_path else ()
        return [key for key in (*RUN, *charts, *GENERAL) if self._has(key.needs)]

    def _has(self, needs: str) -> bool:
        match needs:
            case "live":
                return self.live
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
        self.push_screen(HelpScreen(ascii=self.ascii))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: what is possible right now."""
        del screen
        for key in self.possible():
            if key.action != "command_palette":
                yield SystemCommand(f"{key.help} [{key.text}]", "", self._runner(key.action))

    def _runner(self, action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.run_action(action, self.train if self._is_chart(action) else self)

        return run

    @staticmethod
    def _is_chart(action: str) -> bool:
        return any(action == key.action for key in CHARTS)

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
            Ask(question, choices, title="Leave", plain=self.ascii), self._leave_answered
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
            journal.note(f"worker {event.worker.name} failed", error)
            self.complain(f"{type(error).__name__}: {error} (see {journal.path()})")

    def _handle_exception(self, error: Exception) -> None:
        """Textual shows what ended the app, and forgets it."""
        journal.note("the app ended", error)
        super()._handle_exception(error)

    def complain(self, sentence: str) -> None:
        """An error becomes a message, not a crash."""
        journal.note(sentence)
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
    except TinyGPTError:
        return None
    return float(minutes) if isinstance(minutes, int | float) else None
