"""Errors of the app: shown, logged, and survived."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, opened, until
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp


def test_a_worker_that_fails_leaves_a_message_and_a_log(
    tmp_path: Path, live: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    log = tmp_path / "state" / "tinygpt-tui" / "app.log"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        monkeypatch.setattr("tinygpt_tui.monitor.run_histories.MetricsReader.read_bulk", None)
        app.overlays.show([live.path])
        await until(pilot, log.exists)
        assert app.is_running
        assert any("TypeError" in note.message for note in app._notifications)

    drive(tmp_path, body)
    assert "Traceback" in log.read_text()
