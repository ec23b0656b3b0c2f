"""What the app's keys ask of a run: pause, stop, checkpoint, resume; and quitting."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.app import asks, drive, lines, opened, screen_text, until
from tests.helpers.scenes import make_run, records
from tests.helpers.trainer import SHAPE
from tests.helpers.training import SHAPE as SETTINGS
from tests.helpers.training import make_session, stop_at, train_session
from tinygpt.config import build
from tinygpt.run import (
    METRICS,
    STATUS,
    RunWriter,
    layout,
    read_state,
    read_status,
    request,
    reserve_run,
)
from tinygpt.run.presence import this_host
from tinygpt.run.settings import stored_settings
from tinygpt.run.status import write_status
from tinygpt_tui.app import LabApp
from tinygpt_tui.launch import trainer_process
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.form import NewRun
from tinygpt_tui.screens.new_run import FormView, NewRunScreen
from tinygpt_tui.screens.run_info import RunInfoScreen


def test_pause_resume_and_checkpoint_ask_the_run(tmp_path: Path, live: RunWriter) -> None:
    control = live.path / "control"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await pilot.press("space")
        assert (control / "pause").exists()
        live.status("paused", 30)
        await until(pilot, lambda: "Paused" in lines(app, "header"))
        await pilot.press("space")
        assert not (control / "pause").exists()
        await pilot.press("k")
        assert (control / "checkpoint").exists()

    drive(tmp_path, body)


def test_several_viewers_agree(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        request(live.path, "pause")  # another viewer
        live.status("paused", 30)
        await until(pilot, lambda: "Paused" in lines(app, "header"))

    drive(tmp_path, body)


def test_stop_asks_first(tmp_path: Path, live: RunWriter) -> None:
    stop = live.path / "control" / "stop"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await pilot.press("s")
        assert isinstance(app.screen, Ask)
        await pilot.press("escape")
        assert not stop.exists()
        await pilot.press("s", "s")
        await until(pilot, stop.exists)
        live.status("stopped", 30)
        await until(pilot, lambda: "Stopped" in lines(app, "header"))
        assert "u resumes it" in screen_text(app)
        await pilot.press("s")
        assert not isinstance(app.screen, Ask)

    drive(tmp_path, body)


@pytest.mark.parametrize(("answer", "stops"), [("l", False), ("s", True)])
def test_quitting_asks_if_a_run_is_active(
    tmp_path: Path,
    live: RunWriter,
    answer: str,
    stops: bool,  # noqa: FBT001
) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await pilot.press("q")
        assert isinstance(app.screen, Ask)
        await pilot.press("c")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.return_value is None
        await pilot.press("q", answer)
        await pilot.pause()
        assert app.return_value == 0
        assert (live.path / "control" / "stop").exists() is stops

    drive(tmp_path, body)


def test_quitting_does_not_ask_without_an_active_run(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("q")
        await pilot.pause()
        assert app.return_value == 0

    drive(tmp_path, body)


def test_other_keys_to_quit_ask_too_but_once(tmp_path: Path, live: RunWriter) -> None:
    """In a tab, in the editor of the prompt, and in the form."""

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        for place in ("", "2 p", "escape n"):
            await pilot.press(*place.split())
            screens = len(app.screen_stack)
            for key in ("ctrl+q", "ctrl+c"):
                await pilot.press(key)
                await until(pilot, lambda: asks(app, "alive is still training"))
                await pilot.press(key, key)
                await pilot.pause()
                assert len(app.screen_stack) == screens + 1, (place, key)
                await pilot.press("escape")
                assert len(app.screen_stack) == screens, (place, key)
        assert isinstance(app.screen, NewRunScreen)
        assert not (live.path / "control" / "stop").exists()
        assert app.return_value is None

    drive(tmp_path, body)


def test_ctrl_c_does_not_discard_a_form_unasked(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("n", "m", "y")
        form = app.screen
        await pilot.press("ctrl+c")
        await until(pilot, lambda: asks(app, "What is entered here is discarded"))
        await pilot.press("ctrl+c", "escape")
        assert app.screen is form
        await pilot.press("ctrl+c", "q")
        await until(pilot, lambda: app.return_value == 0)

    drive(tmp_path, body)


def test_ctrl_c_copies_what_is_selected(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        app.push_screen(AskText("Name:", "nano", lambda _: None, keep=True))
        await pilot.pause()
        await pilot.press("home", "shift+end", "ctrl+c")
        assert app.clipboard == "nano"
        assert isinstance(app.screen, AskText)

    drive(tmp_path, body)


def test_what_was_asked_shows_at_once_until_the_trainer_does_it(
    tmp_path: Path, live: RunWriter
) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await pilot.press("space")
        assert "Pausing…" in lines(app, "header")
        assert "space resume" in lines(app, "footer")
        await pilot.press("space")  # changed my mind
        await until(pilot, lambda: "Live" in lines(app, "header"))
        assert not (live.path / "control" / "pause").exists()
        assert "space pause" in lines(app, "footer")
        await pilot.press("space")
        live.status("paused", 30)
        await until(pilot, lambda: "Paused" in lines(app, "header"))
        assert "space resume" in lines(app, "footer")
        await pilot.press("space")
        assert "Resuming…" in lines(app, "header")
        assert "space pause" in lines(app, "footer")
        await pilot.press("s", "s")
        assert "Stopping…" in lines(app, "header")
        live.status("stopped", 30)
        await until(pilot, lambda: "Stopped" in lines(app, "header"))

    drive(tmp_path, body)


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_request_that_is_not_confirmed_is_said(
    tmp_path: Path,
    live: RunWriter,
    monkeypatch: pytest.MonkeyPatch,
    confirmed: bool,  # noqa: FBT001
) -> None:
    asked: list[Callable[[], None]] = []
    said: list[str] = []
    expected = [] if confirmed else ["alive has not confirmed"]

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        monkeypatch.setattr(app, "set_timer", lambda _, check: asked.append(check))
        await pilot.press("space")
        if confirmed:
            live.status("paused", 30)
            await until(pilot, lambda: "Paused" in lines(app, "header"))
        (check,) = asked
        monkeypatch.setattr(app, "notify", lambda text, **_: said.append(text))
        check()
        assert [text.partition(" after ")[0] for text in said] == expected

    drive(tmp_path, body)


def test_a_start_is_noted_until_the_trainer_reports(tmp_path: Path) -> None:
    with make_run(tmp_path, "over", records(30)) as writer:
        writer.status("stopped", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.control._starting[writer.path] = 1
        app.show_note("resuming")
        await pilot.press("enter")
        await until(pilot, lambda: "step 30" in screen_text(app))  # the crosshair comes first
        await pilot.press("enter")
        await until(pilot, lambda: "resuming" in screen_text(app))
        app.control._starting[writer.path] = os.getpid()
        assert app.current_run.follower
        app.current_run.follower._machine_read = -1e9
        app.current_run.poll_now()
        await until(pilot, lambda: "u resumes it" in screen_text(app))
        assert not app.control._starting

    drive(tmp_path, body)


def test_a_stalled_run_is_resumed(tmp_path: Path) -> None:
    """Its trainer, on another host, is gone since 31 s without an end."""
    session = make_session(tmp_path, steps=23)
    run = session.writer.path
    train_session(session, interrupted=stop_at(9, session))
    records = (run / METRICS).read_bytes().splitlines(keepends=True)
    (run / METRICS).write_bytes(b"".join(records[:-1]))
    status = read_status(run)
    assert status is not None
    gone = replace(status, state="running", host="gone", kernel=None, heartbeat=time.time() - 31)
    write_status(run, gone)
    os.utime(run / STATUS, (gone.heartbeat,) * 2)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot, step=9)
        assert "Stalled" in lines(app, "header")
        await until(pilot, lambda: "no heartbeat for" in screen_text(app))
        assert "u resumes it" in screen_text(app)
        await pilot.press("u")
        await until(pilot, lambda: read_state(run).state == "done")
        children = trainer_process._CHILDREN
        await until(pilot, lambda: trainer_process.poll_children().keys() == children.keys())

    drive(tmp_path, body)
    status = read_status(run)
    assert status is not None
    assert (status.host, status.step) == (this_host(), 23)


def test_resume_says_why_it_cannot(tmp_path: Path) -> None:
    with make_run(tmp_path, "new", records(30)) as writer:
        writer.status("running", 30)

        async def body(app: LabApp, pilot: "Pilot[int]") -> None:
            await opened(app, pilot)
            await pilot.press("u")
            assert any("already being trained" in note.message for note in app._notifications)

        drive(tmp_path, body)


@pytest.mark.usefixtures("_trainers_end")
def test_a_finished_run_is_trained_for_more_steps(tmp_path: Path) -> None:
    train_session(make_session(tmp_path))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot, 13)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        assert app.screen.query_one(Input).value == "26"
        app.screen.query_one(Input).value = "17"
        await pilot.press("enter")
        await until(pilot, lambda: app.history.step == 17 and app.current_run.phase == "done")

    drive(tmp_path, body)
    assert stored_settings(tmp_path / "run")["steps"] == 17
    assert "goes on from step 13: the learning rate" in (tmp_path / "run/train.log").read_text()


def test_the_form_is_filled_with_the_settings_of_a_run(tmp_path: Path) -> None:
    train_session(make_session(tmp_path))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot, 13)
        await pilot.press("I")
        await until(pilot, lambda: isinstance(app.screen, RunInfoScreen))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        state = app.screen.query_one(FormView).state
        assert state.name == ""
        assert state.problems == {}
        by_recipe = {"optim.weight_decay": 0.1, "optim.weight_decay_power": 0.5}
        assert state.values.keys().isdisjoint(by_recipe)
        described = build({**state.values, **by_recipe})
        assert described == build({**SETTINGS, "data": str(tmp_path / "corpus.txt")})

    drive(tmp_path, body)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of 13 steps that was stopped after 3."""
    session = make_session(tmp_path)
    assert train_session(session, interrupted=stop_at(3, session)).state == "stopped"
    return tmp_path / "run"


@pytest.mark.usefixtures("_trainers_end")
def test_resume_asks_where_the_corpus_is(stopped: Path) -> None:
    (stopped.parent / "elsewhere").mkdir()
    text = (stopped.parent / "corpus.txt").rename(stopped.parent / "elsewhere" / "moved.txt")
    other = stopped.parent / "elsewhere" / "other.txt"
    other.write_text("another text\n" * 99)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot, 3)
        await pilot.press("u")
        missing = "The text that this run was started with was not found."
        await until(pilot, lambda: asks(app, missing))
        app.screen.query_one(Input).value = str(other)
        await pilot.press("enter")
        wrong = f"{other} is not the text that this run was started with."
        await until(pilot, lambda: asks(app, wrong))
        app.screen.query_one(Input).value = f" '{text}' "
        await pilot.press("enter")
        await until(pilot, lambda: read_state(stopped).state == "done")

    drive(stopped.parent, body)
    assert stored_settings(stopped)["data"] == str(text)


@pytest.mark.usefixtures("_trainers_end")
def test_resume_offers_the_cpu(stopped: Path) -> None:
    settings = stopped / "run.toml"
    settings.write_text(settings.read_text().replace('device = "cpu"', 'device = "cuda"'))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot, 3)
        await pilot.press("u")
        missing = "The device that this run was started on is not available here."
        await until(pilot, lambda: asks(app, missing))
        await pilot.press("enter")
        await until(pilot, lambda: read_state(stopped).state == "done")

    drive(stopped.parent, body)


@pytest.mark.usefixtures("_trainers_end")
def test_a_name_that_another_app_took_is_not_used(
    tmp_path: Path, corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the folder and the start of the trainer."""
    taken = reserve_run(tmp_path / "runs", "micro")
    names = iter([taken.name, "free"])
    monkeypatch.setattr(layout, "new_run_name", lambda *_: next(names))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        arguments = ["--preset", "micro", "--data", str(corpus_file), "--steps", "1", *SHAPE]
        app.control.start(NewRun(None, "micro", arguments))
        await until(pilot, lambda: read_state(tmp_path / "runs" / "free").state == "done")

    drive(tmp_path / "runs", body)
    assert list(taken.iterdir()) == []


def test_a_trainer_that_still_reads_its_corpus_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big").mkdir()
    stopped: list[int] = []
    monkeypatch.setattr(trainer_process, "stop_starting", stopped.append)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: app.current_run.phase == "new")
        await pilot.press("s")
        assert not isinstance(app.screen, Ask), "another app started it"
        app.control._starting[tmp_path / "big"] = 1
        await pilot.press("s")
        assert asks(app, "before training begins")
        await pilot.press("escape")
        assert not stopped
        await pilot.press("s", "s")
        await pilot.pause()
        assert stopped == [1]
        app.control._starting.clear()

    drive(tmp_path, body, run=tmp_path / "big")
