"""The open run: which one is opened first, and following it."""

from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, lines, opened, screen_text, until
from tests.helpers.records import started
from tests.helpers.scenes import ended, make_run, records
from tinygpt.run import RunWriter, read_state, read_status
from tinygpt.run.status import write_status
from tinygpt_tui.app import LabApp
from tinygpt_tui.monitor.follower import RunUpdate
from tinygpt_tui.monitor.open_run import choose_run
from tinygpt_tui.screens.dialog import AskText
from tinygpt_tui.screens.runs import RunsScreen


def test_only_finished_runs_opens_the_newest_and_says_so(tmp_path: Path) -> None:
    with make_run(tmp_path, "finished", records(30, end=True)) as writer:
        writer.status("done", 30)
    path, note = choose_run(tmp_path, None)
    assert path == tmp_path / "finished"
    assert note is not None
    assert "showing the latest run, finished" in note


def test_a_stalled_run_is_not_preferred(tmp_path: Path) -> None:
    """To a newer one that is finished; once its lock is held, it is."""
    stalled = make_run(tmp_path, "stalled", [replace(started(), time=10.0)])
    with make_run(tmp_path, "finished", [replace(started(), time=20.0), ended()]) as writer:
        writer.status("done", 30)
    assert choose_run(tmp_path, None) == (stalled.path, None)
    stalled.close()
    status = read_status(stalled.path)
    assert status is not None
    write_status(stalled.path, replace(status, host="gone", kernel=None, heartbeat=10.0))
    assert read_state(stalled.path).state == "stalled"
    assert choose_run(tmp_path, None)[0] == tmp_path / "finished"


def test_a_replaced_file_starts_over(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        (live.path / "metrics.jsonl").write_text("")
        await until(pilot, lambda: app.history.step == 0)

    drive(tmp_path, body)


def test_an_error_in_the_worker_becomes_a_message(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        assert app.current_run.follower is not None
        app.current_run.follower.poll = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
        await until(pilot, lambda: "ZeroDivisionError" in screen_text(app))

    drive(tmp_path, body)


def test_an_error_passes_when_reading_works_again(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: "Dense" in screen_text(app))
        app.apply_update(RunUpdate(live.path, error="cannot read it"))
        app.train._draw()
        assert "cannot read it" in screen_text(app)
        app.apply_update(RunUpdate(live.path))
        app.train._draw()
        assert "cannot read it" not in screen_text(app)

    drive(tmp_path, body)


def test_a_renamed_run_stays_open(tmp_path: Path) -> None:
    with make_run(tmp_path, "before", records(30, end=True)) as writer:
        writer.status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and bool(app.screen._entries))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.run_path == tmp_path / "before2")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await opened(app, pilot)
        assert "before2" in lines(app, "header")

    drive(tmp_path, body)


def test_the_start_screen_keeps_nothing_of_a_run(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        app.open_run(None)
        assert app.state is None
        assert not app.current_run.live
        assert "s stop" not in lines(app, "footer")

    drive(tmp_path, body)
