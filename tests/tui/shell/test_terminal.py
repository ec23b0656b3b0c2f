"""The app in real terminals: training outlives tmux windows and SSH connections."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.terminals import APP, Terminal, alive, app_in, end_all, find, ssh_server
from tests.helpers.trainer import endless_training
from tests.helpers.waiting import until
from tinygpt.run import MetricsReader, Status, TrainRecord, list_steps, read_state, read_status

PRESETS = ("micro", "nano", "baby", "small")
STEPS = "1000000"
"""More than any test waits for."""


@pytest.fixture
def folder(corpus_file: Path, tmp_path: Path) -> Iterator[Path]:
    """Where the app is started; whatever still runs there is killed after the test."""
    find("tmux")
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals of a given size that run a command; closed after the test."""
    terminals: list[Terminal] = []

    def open_terminal(columns: int, lines: int, *command: str) -> Terminal:
        terminals.append(Terminal(command or APP, folder, columns, lines))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.kill()


def start_by_form(terminal: Terminal, name: str) -> None:
    """From the start screen to a run of the smallest preset that does not end by itself.

    Waits for each field to have the focus, which its line of help shows.
    """
    terminal.sees("Enter train this preset")
    terminal.press("n")
    terminal.sees("New run", "--name: the run's folder")
    terminal.type(name)
    terminal.press("Down")
    terminal.sees("--preset: model size")
    chosen = re.search(rf"● ({'|'.join(PRESETS)})", terminal.screen())
    assert chosen
    terminal.press(*["Left"] * PRESETS.index(chosen[1]))
    terminal.sees("● micro")
    terminal.press("Down")
    terminal.sees("--model: which variants")
    terminal.press("Down")
    terminal.sees("--steps: optimizer steps")
    terminal.type(STEPS)
    terminal.press("Down")
    terminal.sees("--minutes: time limit")
    terminal.press("Down")
    terminal.sees("▸   Corpus")
    terminal.type("corpus.txt")
    terminal.press("Enter")


def shows(terminal: Terminal, name: str, state: str) -> None:
    """Wait until the header shows the run in this state."""
    terminal.until(lambda: re.search(rf"\b{name} .*\b{state}\b", terminal.header()))


def shown_step(terminal: Terminal) -> int:
    """The step of Dense in the table; 0 if there is none yet."""
    found = re.search(r"^Dense +\S+ +([\d,]+) ", terminal.screen(), re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def moves(terminal: Terminal) -> None:
    """Wait until the table shows a step, then a later one."""
    terminal.until(lambda: shown_step(terminal))
    step = shown_step(terminal)
    terminal.until(lambda: shown_step(terminal) > step)


def steps_of(run: Path, model: str = "dense") -> list[int]:
    """The steps of a model's train records, in the order of the file."""
    records = MetricsReader(run).read()
    return [r.step for r in records if isinstance(r, TrainRecord) and r.model == model]


def status_of(run: Path) -> Status:
    status = read_status(run)
    assert status is not None
    return status


def trainer_of(run: Path) -> psutil.Process:
    return psutil.Process(status_of(run).pid)


def assert_undisturbed(run: Path, trainer: psutil.Process) -> None:
    """The same process goes on training, and has taken each step once, in order."""
    step = len(steps_of(run))
    until(lambda: len(steps_of(run)) > step + 1, (run / "train.log").read_text)
    assert alive(trainer)
    assert trainer == trainer_of(run)
    for model in ("dense", "moe"):
        steps = steps_of(run, model)
        assert steps == list(range(1, len(steps) + 1))


def assert_plain_terminal(app: psutil.Process) -> None:
    found = app.environ()
    assert found["TERM"] == "xterm-256color"
    assert "COLORTERM" not in found


def stop(terminal: Terminal, run: Path) -> None:
    """Stop the run by key; it ends with a checkpoint of its last step."""
    trainer = trainer_of(run)
    terminal.press("s")
    terminal.sees("Stop and save")
    terminal.press("Enter")
    shows(terminal, run.name, "Stopped")
    until(lambda: not alive(trainer))
    assert read_state(run).state == "stopped"
    for model in ("dense", "moe"):  # one may be a step ahead: a step in progress is given up
        assert list_steps(run, model)[-1] == len(steps_of(run, model))


def test_training_outlives_its_terminals(opened: Callable[..., Terminal], folder: Path) -> None:
    run = folder / "runs" / "watched"

    # Started by the form, watched, paused, resumed.
    first = opened(80, 24)
    start_by_form(first, run.name)
    shows(first, run.name, "Live")
    assert_plain_terminal(app_in(folder))
    moves(first)
    trainer = trainer_of(run)
    first.press("Space")
    shows(first, run.name, "Paused")
    status, held = status_of(run), len(steps_of(run))
    assert status.state == "paused"
    until(lambda: status_of(run).heartbeat > status.heartbeat)
    assert len(steps_of(run)) == held
    first.press("Space")
    shows(first, run.name, "Live")
    moves(first)

    # Left running.
    first.press("q")
    first.sees("Leave it running", "Cancel")
    first.press("l")
    assert first.ends() == 0
    assert_undisturbed(run, trainer)

    # Attached again; then the terminal is killed.
    second = opened(80, 24)
    shows(second, run.name, "Live")
    moves(second)
    app = app_in(folder)
    second.kill()
    until(lambda: not alive(app))
    assert_undisturbed(run, trainer)

    # Attached again, and stopped.
    third = opened(80, 24)
    shows(third, run.name, "Live")
    moves(third)
    stop(third, run)
    third.press("q")
    assert third.ends() == 0


def test_training_outlives_a_cut_connection(opened: Callable[..., Terminal], folder: Path) -> None:
    """Training outlives the app that started it, which dies with its connection."""
    run = folder / "runs" / "remote"
    with ssh_server(folder / "sshd") as server:
        first = opened(120, 36, *server.client(*APP))
        start_by_form(first, run.name)
        shows(first, run.name, "Live")
        app, trainer = app_in(folder), trainer_of(run)
        assert_plain_terminal(app)
        moves(first)
        server.cut()
        assert first.ends() != 0
        until(lambda: not alive(app))
        assert_undisturbed(run, trainer)

        second = opened(80, 24, *server.client(*APP))
        shows(second, run.name, "Live")
        moves(second)
        assert trainer == trainer_of(run)
        stop(second, run)


@pytest.fixture
def tiny_run(folder: Path) -> Iterator[Path]:
    """A tiny training run that goes on."""
    with endless_training(folder, "tiny") as run:
        yield run


def test_every_size_during_training(opened: Callable[..., Terminal], tiny_run: Path) -> None:
    until(lambda: read_state(tiny_run).state == "live")
    terminal = opened(80, 24)
    shows(terminal, "tiny", "Live")
    for columns, lines in ((40, 12), (20, 5), (200, 60)):
        terminal.resize(columns, lines)
        terminal.press("?")
        # The dialog as drawn for this size, then the tab.
        terminal.until(lambda: "│ Run" in terminal.screen())
        terminal.press("Escape")
        terminal.until(lambda: "│ Run" not in terminal.screen())
        assert not terminal.ended()
    moves(terminal)
    assert max(map(len, terminal.screen().splitlines())) > 180
    shows(terminal, "tiny", "Live")
    terminal.sees("q quit")
    terminal.resize(80, 24)
    shows(terminal, "tiny", "Live")
    assert alive(trainer_of(tiny_run))


def test_the_mouse_is_the_terminals_own_on_request(opened: Callable[..., Terminal]) -> None:
    for words, captured in (((), True), (("--no-mouse",), False)):
        terminal = opened(80, 24, *APP, *words)
        terminal.sees("Enter train this preset")
        assert terminal.captures_mouse() is captured
