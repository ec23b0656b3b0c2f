"""Overlaid runs in the app."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, opened, screen_text, until
from tests.helpers.scenes import make_run, records
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp


def test_overlaid_runs_are_read_on_while_they_grow(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.open_run(live.path)
        await opened(app, pilot)
        app.overlays.show([other.path])
        await until(pilot, lambda: bool(app.overlays.current.overlays[0].history.step == 10))
        for record in records(20)[1:]:
            if getattr(record, "step", 0) > 10:
                other.append(record)
        app.overlays.poll()
        await until(pilot, lambda: app.train.state.overlays[0].history.step == 20)
        await until(pilot, lambda: "other" in screen_text(app))
        await pilot.press("o")
        assert app.overlays.paths == ()
        assert app.train.state.overlays == ()
        await until(pilot, lambda: "other" not in screen_text(app))

    drive(tmp_path, body)


def test_overlays_are_replaced_while_they_are_read(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.overlays.show([other.path])
        app.overlays.show([live.path])
        await until(pilot, lambda: bool(app.overlays.current.overlays[0].history.step == 30))
        assert [overlay.name for overlay in app.train.state.overlays] == ["alive"]

    drive(tmp_path, body)
