"""What the app does first, as the command line says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, until
from tests.helpers.runs import make_run
from tests.helpers.waiting import PATIENCE
from tinygpt.errors import TinyGPTError
from tinygpt.run import read_state
from tinygpt_tui import cli, opening
from tinygpt_tui.app import LabApp
from tinygpt_tui.launch import cost, trainer_process
from tinygpt_tui.screens.form import NAME
from tinygpt_tui.screens.form_state import FormState
from tinygpt_tui.screens.new_run import FormView

TINY = ("--gpt.layers", "1", "--gpt.width", "8", "--gpt.context", "7", "--device", "cpu")


@pytest.fixture
def _trainers_end() -> Iterator[None]:
    """Wait for the trainers that a test started."""
    yield
    for child in trainer_process._CHILDREN.values():
        child.process.wait(PATIENCE)


def plan(out: Path, *words: str) -> opening.Plan:
    return opening.plan(cli.make_parser().parse_args(["--out", str(out), *words]))


def form_after(out: Path, *words: str) -> FormState:
    """The form as the app opens it after these words on the command line."""
    found, states = plan(out, *words), []

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: bool(app.screen.query(FormView)))
        states.append(app.screen.query_one(FormView).state)

    drive(out, body, run=found.run, first=found.first)
    return states[0]


def test_without_settings_a_run_is_opened(tmp_path: Path) -> None:
    make_run(tmp_path, "a", {}, "done")
    assert plan(tmp_path).run is None
    assert plan(tmp_path, "a", "--ascii").run == tmp_path / "a"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: app.run_path == tmp_path / "a")
        await pilot.pause()
        assert len(app.screen_stack) == 1

    drive(tmp_path, body, first=plan(tmp_path).first)


def test_settings_fill_the_form(tmp_path: Path, corpus_file: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("minutes = 2\n[train]\ncompile = false\nbatch = 7\n")
    words = ("--preset", "baby", "--data", str(corpus_file), "--gpt.layers", "4", "--name", "mine")
    state = form_after(tmp_path, *words, "--config", str(file), "--train.batch", "9")
    assert state.preset == "baby"
    assert {name: state.text(name) for name in (NAME, "data", "gpt.layers", "minutes")} == {
        NAME: "mine",
        "data": str(corpus_file),
        "gpt.layers": "4",
        "minutes": "2",
    }
    shown = [row.name for row in state.rows()]
    assert set(shown) >= {"gpt.layers", "train.compile", "train.batch"}
    assert "gpt.heads" not in shown
    run = state.start()
    assert run is not None
    given = dict(zip(run.arguments[::2], run.arguments[1::2], strict=True))
    assert given == {
        "--name": "mine",
        "--preset": "baby",
        "--data": str(corpus_file),
        "--gpt.layers": "4",
        "--minutes": "2.0",
        "--train.compile": "false",
        "--train.batch": "9",
    }


def test_an_empty_file_of_settings_opens_the_form_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "default_preset", lambda: "micro")
    file = tmp_path / "settings.toml"
    file.touch()
    assert form_after(tmp_path, "--config", str(file)).preset == "micro"
    assert form_after(tmp_path, "--preset", "auto").preset == "micro"


@pytest.mark.usefixtures("_trainers_end")
def test_start_trains_at_once_and_shows_it(tmp_path: Path, corpus_file: Path) -> None:
    words = ("--preset", "micro", "--steps", "2", "--data", str(corpus_file), *TINY)
    found = plan(tmp_path / "runs", "--start", "--name", "first", *words)
    assert not (tmp_path / "runs").exists()

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        run = tmp_path / "runs" / "first"
        await until(pilot, lambda: app.run_path == run)
        await until(pilot, lambda: read_state(run).state == "done")
        await until(pilot, lambda: app.history.end is not None)
        assert len(app.screen_stack) == 1

    drive(tmp_path / "runs", body, first=found.first)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "--steps", "7"], "--steps is for a new run: leave out a, or give no settings"),
        (["a", "--start"], "--start is for a new run"),
        (["a", "--name", "b"], "--name is for a new run"),
        (["a", "--name", "b", "--resume"], "--name b and a both name the run"),
        (["--name", "a"], "--name: a run named 'a' already exists"),
        (["a", "--resume"], "--resume: a is finished. To train longer, set more steps"),
        (["--resume", "--start"], "--start is for a new run: leave it out with --resume"),
        (["--moe.top-k", "9"], "--moe.top-k is 9"),
    ],
)
def test_contradictions_are_found_before_the_app_opens(
    tmp_path: Path, words: list[str], says: str
) -> None:
    make_run(tmp_path, "a", {}, "done")
    with pytest.raises(TinyGPTError) as caught:
        plan(tmp_path, *words)
    assert says in str(caught.value)


def test_resume_is_done_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "stopped", {"steps": 2000}, "stopped")
    resumed: list[tuple[Path, list[str]]] = []

    def resume(path: Path, extra: list[str]) -> int:
        resumed.append((path, extra))
        return 7

    monkeypatch.setattr(trainer_process, "resume_training", resume)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: bool(resumed) and app.state is not None)

    for words in (["--resume"], ["stopped", "--resume"], ["--resume", "--name", "stopped"]):
        found = plan(tmp_path, *words, "--steps", "3000")
        assert found.run == run
        drive(tmp_path, body, run=found.run, first=found.first)
        assert resumed.pop() == (run, ["--steps=3000"])


def test_a_finished_run_is_resumed_with_a_later_end(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", {}, "done")
    assert plan(tmp_path, "--resume", "--steps", "9000").run == run


def test_a_run_is_found_by_name_path_variant_and_step(tmp_path: Path) -> None:
    make_run(tmp_path, "a", {}, "done")
    step = tmp_path / "a" / "moe" / "step-00000003"
    step.mkdir(parents=True)
    for name in ("a", str(tmp_path / "a"), str(step), str(step.parent)):
        assert opening.run_to_open(name, str(tmp_path)) == tmp_path / "a"
    (tmp_path / "copied" / "moe" / step.name).mkdir(parents=True)
    with pytest.raises(
        TinyGPTError, match="copied is not a run: it has models, but none of a run's"
    ):
        opening.run_to_open("copied", str(tmp_path))
