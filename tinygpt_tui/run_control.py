"""Start and resume training, and ask the open run to pause, stop or write a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from tinygpt.errors import TinyGPTError
from tinygpt.run import RunInfo, read_state, request, reserve_run
from tinygpt.run.control import Request
from tinygpt.run.manage import resume_problem
from tinygpt.run.settings import stored_settings
from tinygpt_tui import leaving
from tinygpt_tui.launch import process_count, trainer_process
from tinygpt_tui.launch.reading_note import ReadingNote
from tinygpt_tui.launch.rivals import has_own_gpu, rivals, to_wait_for
from tinygpt_tui.monitor.follower import RunUpdate
from tinygpt_tui.monitor.open_run import OpenRun
from tinygpt_tui.monitor.run_settings import form_values
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.screens.extend import ask_steps
from tinygpt_tui.screens.form import NewRun
from tinygpt_tui.screens.new_run import NewRunScreen
from tinygpt_tui.screens.queue_question import ask_when
from tinygpt_tui.screens.resume_questions import ask_remedy
from tinygpt_tui.screens.run_info import RunInfoScreen, Wish
from tinygpt_tui.shell.error_reports import ErrorReportingApp

CONFIRMED_WITHIN = 20.0
"""Seconds after which it is said that the trainer has not confirmed a request. It looks for them
several times a second, within long steps too, but one call of torch may take longer."""

_T = TypeVar("_T")

_NOT_TRAINED = (
    "This run is not being trained: n starts a new one",
    "This run has not begun to train",
)


def _stop_question(run: OpenRun) -> Ask:
    """What is asked before a run is stopped."""
    answers = ("Stop and save", "Cancel")
    question = "Stop training after writing a checkpoint? It can be resumed later."
    if run.phase == "queued":
        question = "Take this run from the queue? Its folder is removed."
        answers = ("Take it from the queue", "Leave it there")
    elif not run.live:
        question = "Stop before training begins? What is encoded of a large text is kept."
        answers = ("Stop", "Cancel")
    choices = [("s", "stop", answers[0]), ("c", "cancel", answers[1])]
    return Ask(question, choices, title="Stop")


class RunControl:
    """Starts and controls training runs.

    Requests go through the run's directory, so they also reach a trainer on another machine.
    """

    def __init__(
        self,
        app: ErrorReportingApp[int],
        out: Path,
        run: OpenRun,
        *,
        open_run: Callable[[Path, str], None],
        show_note: Callable[[str | None], None],
        show_request: Callable[[], None],
    ) -> None:
        """`out` is where new runs go; `open_run` shows a run, with a note about it; `show_request`
        shows what was requested of the open run."""
        self._app, self._out, self._run = app, out, run
        self._open_run, self._show_note, self._show_request = open_run, show_note, show_request
        self._starting: dict[Path, int] = {}
        """Pids of trainers started here that have not reported yet, by run."""
        self._reading = ReadingNote(show_note)
        self._resume_options: dict[Path, Sequence[str]] = {}
        """The options of those that resume a run."""
        self._trained: list[Path] = []
        """The runs that were started or resumed here."""
        self._stopping: set[Path] = set()
        """The runs that were asked to stop when the app was left."""
        self._quit_question: Ask | None = None

    # -- the open run

    def request(self, what: Request) -> None:
        """Send a request to the open run's trainer; warns if it is not being trained."""
        if self._run.path is None or not self._run.live:
            self._app.notify(_NOT_TRAINED[self._run.phase == "new"], severity="warning")
            return
        try:
            self._run.request(what)
        except TinyGPTError as error:
            self._app.report_error(str(error))
            return
        self._show_request()
        self._app.set_timer(CONFIRMED_WITHIN, partial(self._check_confirmed, self._run.path, what))

    def _check_confirmed(self, run: Path, what: Request) -> None:
        """Say so if the trainer has not done what was requested."""
        if self._run.path == run and self._run.requested == what:
            self._app.notify(
                f"{run.name} has not confirmed after {CONFIRMED_WITHIN:.0f} s that it will {what}: "
                "a long step may have to end first. The request stays",
                severity="warning",
                markup=False,
            )

    def toggle_pause(self) -> None:
        """Pause, or continue a run that is paused or about to be; start a queued one at once."""
        if self._run.phase == "queued":
            self.request("begin")
            return
        self.request("resume" if self._run.pausing else "pause")

    def write_checkpoint(self) -> None:
        """Ask for a checkpoint after the current step."""
        self.request("checkpoint")
        if self._run.live:
            self._app.notify("A checkpoint will be written after this step")

    def stop(self) -> None:
        """Stop the run, after asking."""
        starting = self._starting.get(self._run.path) if self._run.path else None
        if not self._run.live and starting is None:
            self.request("stop")
            return
        self._app.push_screen(_stop_question(self._run), self._on_stop_answer)

    def _on_stop_answer(self, answer: str | None) -> None:
        if answer != "stop":
            return
        run, state = self._run.path, self._run.state
        if run in self._starting and not self._run.live:
            trainer_process.stop_starting(self._starting[run])
            return
        self.request("stop")
        if run and state and state.state == "queued" and state.status and state.status.after:
            self._open_run(run.parent / state.status.after, f"{run.name} was taken from the queue")

    def quit(self) -> None:
        """Exit the app; ask first whether to leave an active run running, and whether to discard
        what is being entered in a dialog."""
        if self._quit_question in self._app.screen_stack:
            return
        if self._run.live:
            name = self._run.path.name if self._run.path else "The run"
            choices = [("l", "leave", "Leave it running"), ("s", "stop", "Stop and save")]
            question = f"{name} is still training."
            if self._run.phase == "queued":
                choices = [("l", "leave", "Leave it there"), ("s", "stop", "Take it out")]
                question = f"{name} is in the queue: it starts also when this app is closed."
        elif len(self._app.screen_stack) > 1:
            question = "Quit? What is entered here is discarded."
            choices = [("q", "leave", "Quit")]
        else:
            self._app.exit(0)
            return
        choices.append(("c", "cancel", "Cancel"))
        self._quit_question = Ask(question, choices, title="Quit")
        self._app.push_screen(self._quit_question, self._on_quit_answer)

    def _on_quit_answer(self, answer: str | None) -> None:
        if answer == "stop" and self._run.path is not None:
            self.request("stop")
            self._stopping.add(self._run.path)
        if answer in ("leave", "stop"):
            self._app.exit(0)

    def parting_words(self) -> Iterator[str]:
        """What to print after the app was left, about the runs that go on: the open one, and those
        started here."""
        runs = [*([self._run.path] if self._run.path else []), *self._trained]
        failed = [run for run, pid in self._starting.items() if trainer_process.early_failure(pid)]
        return leaving.parting_words(
            (run for run in runs if run not in failed),
            starting=self._starting,
            stopping=self._stopping,
        )

    # -- processes

    def start(self, new: NewRun | None) -> None:
        """Train a new run in a separate process, and open it; None is a form that was left."""
        if new is not None:
            self._after_reading(lambda: rivals(self._out), partial(self._start_beside, new))

    def _after_reading(self, read: Callable[[], _T], then: Callable[[_T], None]) -> None:
        """Call `then` with what is read, in a thread, as a network disk may be slow, and the
        metrics of a long run take a second."""

        def work() -> None:
            try:
                found = read()
            except TinyGPTError as error:
                self._app.call_from_thread(self._app.report_error, str(error))
            else:
                self._app.call_from_thread(then, found)

        self._app.run_worker(work, thread=True, exit_on_error=False)

    def _start_beside(self, new: NewRun, runs: Sequence[RunInfo]) -> None:
        """Start a run beside those that are active; ask when, unless it has a GPU to itself."""
        if not runs or has_own_gpu(new.device, runs):
            self._start(new)
            return
        other = to_wait_for(runs).path

        def answered(answer: str | None) -> None:
            if answer is None:
                if new.values:  # back to the form: nothing is lost
                    self.fill_form(new.values)
                return
            if answer == "stop":
                self._stop_first(other)
            self._start(new, after=None if answer == "both" else other)

        ask_when(self._app, runs, answered, new=True)

    def _stop_first(self, run: Path) -> None:
        try:
            request(run, "stop")
        except TinyGPTError as error:
            self._app.report_error(str(error))

    def _start(self, new: NewRun, after: Path | None = None) -> None:
        """Start the process that trains a new run, when the run `after` has ended."""
        waits = ["--after", str(after)] if after else []
        try:
            path = reserve_run(self._out, new.preset) if new.name is None else self._out / new.name
            arguments = [*new.arguments, *waits]
            pid = trainer_process.start_training(arguments, self._out, path.name)
        except (OSError, TinyGPTError) as error:
            self._app.report_error(f"cannot start training: {error}")
            return
        self._starting[path] = pid
        self._trained.append(path)
        soon = "starting: the first curve appears within seconds"
        self._open_run(path, f"queued after {after.name}" if after else soon)

    def fill_form(self, values: Mapping[str, str]) -> None:
        """Open the form for a new run with these values, by dotted name."""
        self._app.push_screen(NewRunScreen(self._out, values=values), self.start)

    def show_info(self) -> None:
        """Show all about the open run, and do what is wished for there."""
        if (path := self._run.path) is not None:
            self._app.push_screen(RunInfoScreen(path), lambda wish: self.do(wish, path))

    def do(self, wish: Wish | None, path: Path) -> None:
        """Resume a run or extend it, or fill in the form with its settings."""
        if wish == "resume":
            self.resume_or_extend(path)
        elif wish == "clone":
            self._after_reading(
                partial(stored_settings, path),
                lambda stored: self.fill_form(form_values(stored)),
            )

    def start_preset(self, preset: str) -> None:
        """Train a new run of a preset."""
        self.start(NewRun(None, preset, ["--preset", preset]))

    def resume(self) -> None:
        """Resume the open run, or say why it cannot be resumed."""
        if self._run.path is None or self._run.state is None:
            self._app.notify("There is no run to resume", severity="warning")
        else:
            self.resume_or_extend(self._run.path)

    def resume_or_extend(self, path: Path) -> None:
        """Resume a run that ended early; ask how many steps a finished one is to have; say why any
        other cannot be resumed."""
        state = read_state(path)
        if state.status is not None and state.done:
            step, resume = state.status.step, partial(self.resume_run, path)
            self._after_reading(
                partial(stored_settings, path),
                lambda stored: ask_steps(self._app, path.name, step, stored, resume),
            )
        elif problem := resume_problem(path, state):
            self._app.notify(problem, severity="warning", markup=False)
        else:
            self.resume_run(path)

    def resume_run(self, path: Path, options: Sequence[str] = ()) -> None:
        """Resume a run in a separate process, with additional options, and open it; ask first if
        another one is active. As many processes train it as did last."""

        def read() -> tuple[list[str], list[RunInfo]]:
            return [*process_count.as_before(path), *options], rivals(self._out)

        self._after_reading(read, lambda found: self._resume_beside(path, *found))

    def _resume_beside(self, path: Path, options: Sequence[str], runs: Sequence[RunInfo]) -> None:
        others = [run for run in runs if run.path != path]
        if not others or has_own_gpu("auto", others):
            self._resume(path, options)
            return

        def answered(answer: str | None) -> None:
            if answer == "both":
                self._resume(path, options)

        ask_when(self._app, others, answered, new=False)

    def _resume(self, path: Path, options: Sequence[str]) -> None:
        try:
            self._starting[path] = trainer_process.resume_training(path, options)
        except (OSError, TinyGPTError) as error:
            self._app.report_error(f"cannot resume: {error}")
            return
        self._resume_options[path] = options
        self._trained.append(path)
        self._open_run(path, "resuming from the latest checkpoint")

    def rename(self, old: Path, new: Path) -> None:
        """Update the directory of a run that was renamed, maybe while its trainer starts."""
        self._trained = [new if path == old else path for path in self._trained]
        if old in self._starting:
            self._starting[new] = self._starting.pop(old)
        if old in self._resume_options:
            self._resume_options[new] = self._resume_options.pop(old)

    def check_start(self, update: RunUpdate) -> None:
        """Remove the note about a trainer started here once it reports; show why if it died, or ask
        for what it lacked."""
        trainer_process.poll_children()
        run = update.run
        pid = self._starting.get(run)
        if pid is None:
            self._reading.update(update)
            return
        status = update.state.status if update.state else None
        failure = trainer_process.early_failure(pid)
        if failure or (status is not None and trainer_process.has_reported(pid, status)):
            del self._starting[run]
            options = self._resume_options.pop(run, None)
            self._show_note(failure)
            if failure:
                self._on_failure(run, failure, options)
        elif progress := trainer_process.progress(pid):
            self._show_note(progress)

    def _on_failure(self, run: Path, failure: str, options: Sequence[str] | None) -> None:
        """A trainer failed to start; `options` are those of a resume, None for a new run."""
        if options is None or not ask_remedy(
            self._app, failure, options, lambda others: self.resume_run(run, others)
        ):
            self._app.report_error(failure)
