"""A run is started while another one is trained: the question, and the queue."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import asks, drive, lines, screen_text, until
from tests.helpers.trainer import SHAPE, endless_training
from tests.helpers.waiting import until as wait_until
from tinygpt.run import read_state, read_status, request
from tinygpt.run.settings import stored_settings
from tinygpt_tui.app import LabApp
from tinygpt_tui.screens.form import NewRun
from tinygpt_tui.screens.new_run import FormView, NewRunScreen


@pytest.fixture
def beside(tmp_path: Path, corpus_file: Path) -> Iterator[NewRun]:
    """A run to start while another one, `first`, is trained."""
    (tmp_path / "corpus.txt").write_text(corpus_file.read_text())
    values = {"name": "second", "preset": "micro", "data": str(corpus_file), "steps": "3"}
    arguments = ["--preset", "micro", "--data", str(corpus_file), *SHAPE, "--steps", "3"]
    with endless_training(tmp_path, "first") as first:
        wait_until(lambda: read_state(first).state == "live")
        yield NewRun("second", "micro", arguments, values)


async def asked(app: LabApp, pilot: "Pilot[int]", new: NewRun) -> None:
    """Start a run, once the app has opened one that it found, and wait for the question."""
    await until(pilot, lambda: app.run_path is not None)
    app.control.start(new)
    await until(pilot, lambda: asks(app, "first is being trained (step "))


@pytest.mark.usefixtures("_trainers_end")
def test_a_run_queues_behind_one_that_is_trained(tmp_path: Path, beside: NewRun) -> None:
    """To cancel the question leads back to the form."""
    runs = tmp_path / "runs"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await asked(app, pilot, beside)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        assert app.screen.query_one(FormView).state.name == "second"
        assert not (runs / "second").exists()
        await app.pop_screen()
        await asked(app, pilot, beside)
        await pilot.press("q")
        await until(pilot, lambda: app.current_run.phase == "queued")
        await until(pilot, lambda: "Queued: begins when first ends" in screen_text(app))
        assert "space start now" in lines(app, "footer")
        await pilot.press("k")
        await until(pilot, lambda: "unqueue" in lines(app, "footer"))
        await pilot.press("q")
        await until(pilot, lambda: asks(app, "second is in the queue"))
        await pilot.press("l")

    drive(runs, body)
    assert read_state(runs / "second").state == "queued", "it outlives the app"
    request(runs / "first", "stop")
    wait_until(lambda: read_state(runs / "second").state == "done")


@pytest.mark.usefixtures("_trainers_end")
def test_a_queued_run_is_taken_out_or_started_at_once(tmp_path: Path, beside: NewRun) -> None:
    runs = tmp_path / "runs"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        for key, ended in (("s", lambda: not (runs / "second").exists()), ("space", done)):
            await asked(app, pilot, beside)
            await pilot.press("q")
            await until(pilot, lambda: app.current_run.phase == "queued")
            await pilot.press(key)
            if key == "s":
                await until(pilot, lambda: asks(app, "from the queue?"))
                await pilot.press("s")
                assert app.run_path == runs / "first"
            await until(pilot, ended)
        assert read_state(runs / "first").state == "live"

    def done() -> bool:
        return read_state(runs / "second").state == "done"

    drive(runs, body)


@pytest.mark.usefixtures("_trainers_end")
@pytest.mark.parametrize("key", ["b", "s"])
def test_both_at_the_same_time_or_the_first_one_stopped(
    tmp_path: Path, beside: NewRun, key: str
) -> None:
    runs = tmp_path / "runs"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await asked(app, pilot, beside)
        await pilot.press(key)
        await until(pilot, lambda: read_state(runs / "second").state == "done")

    drive(runs, body)
    assert read_state(runs / "first").state == ("live" if key == "b" else "stopped")


@pytest.mark.usefixtures("_trainers_end")
def test_a_queued_run_whose_process_was_killed_is_started_with_u(
    tmp_path: Path, beside: NewRun
) -> None:
    runs = tmp_path / "runs"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await asked(app, pilot, beside)
        await pilot.press("q")
        await until(pilot, lambda: app.current_run.phase == "queued")
        status = read_status(runs / "second")
        assert status is not None
        os.kill(status.pid, signal.SIGKILL)
        await until(pilot, lambda: app.current_run.phase == "killed")
        assert "that waited for first died before it ended  u resumes it" in screen_text(app)
        await pilot.press("u")
        await until(pilot, lambda: asks(app, "first is being trained"))
        await pilot.press("b")
        await until(pilot, lambda: read_state(runs / "second").state == "done")

    drive(runs, body)
    assert stored_settings(runs / "second")["preset"] == "micro"
