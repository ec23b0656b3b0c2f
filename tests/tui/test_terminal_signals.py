"""What happens to the terminal: SIGTERM, its end without a signal, and the return by fg."""

import os
import select
import signal
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, until
from tinygpt_tui.app import LabApp
from tinygpt_tui.shell import terminal
from tinygpt_tui.widgets.cell_view import CellView


def test_sigterm_exits_with_its_status(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await until(pilot, lambda: app.return_code == 128 + signal.SIGTERM)

    drive(tmp_path, body)


@pytest.mark.parametrize(("event", "ends"), [(select.POLLHUP, True), (select.POLLIN, False)])
def test_a_vanished_terminal_ends_the_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    event: int,
    ends: bool,  # noqa: FBT001
) -> None:
    class Poll:
        def register(self, *_: int) -> None:
            pass

        def poll(self, _: int) -> list[tuple[int, int]]:
            return [(0, event)]

    done: list[object] = []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(select, "poll", Poll)
    monkeypatch.setattr(os, "_exit", done.append)
    terminal._exit_without_terminal(lambda: done.append("closed"))
    assert done == (["closed", 128 + signal.SIGHUP] if ends else [])


def test_everything_is_drawn_after_fg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.pause()
        drawn: list[object] = []
        header = app.query_one("#header", CellView)
        monkeypatch.setattr(header, "refresh", lambda *_, **__: drawn.append(header))
        app.app_resume_signal.publish(app)
        await until(pilot, lambda: bool(drawn))

    drive(tmp_path, body)
