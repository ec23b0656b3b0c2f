"""The screen about one run, driven by its keys."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.runs import make_run
from tests.helpers.screens import UNSET, Host, drive, until
from tinygpt.run.note import read_note, write_note
from tinygpt_tui.monitor import run_info as reading
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.screens.run_info import NoteArea, RunInfoScreen
from tinygpt_tui.widgets.cell_view import CellView


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path, "old", {"preset": "micro", "seed": 5}, "done")


def shown(app: Host) -> str:
    return "\n".join(plain(app.screen.query_one("#page", CellView).rows))


async def opened(app: Host, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: "state" in shown(app))


def test_pages_and_scrolling(run: Path) -> None:
    (run / "train.log").write_text("".join(f"line {i}\n" for i in range(100)))

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        assert "5 differ" not in shown(app)
        assert "settings differ from the preset micro" in shown(app)
        top = shown(app)
        await pilot.press("down")
        assert shown(app).split("\n")[:-1] == top.split("\n")[1:]
        await pilot.press("end", "pagedown", "pageup", "home")
        assert shown(app) == top
        await pilot.press("right")
        assert "line 99" in shown(app), "the end of the log"
        await pilot.press("home")
        assert shown(app).startswith(" line 0 ")
        await pilot.press("tab")
        assert "in all" in shown(app)
        await pilot.press("left", "left")
        assert shown(app) == top
        await pilot.press("escape")
        assert app.result is None

    drive(RunInfoScreen(run), script)


@pytest.mark.parametrize(("key", "wish"), [("n", "clone"), ("u", "resume")])
def test_wishes(run: Path, key: str, wish: str) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pilot.press(key)

    assert drive(RunInfoScreen(run), script).result == wish


def test_a_live_run_is_not_resumed_and_its_log_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinygpt_tui.screens.run_info.REFRESH", 0.05)
    run = make_run(tmp_path, "new", {}, "live")

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pilot.press("u")
        assert app.result is UNSET
        await pilot.press("right")
        (run / "train.log").write_text("a new line\n")
        await until(pilot, lambda: "a new line" in shown(app))

    drive(RunInfoScreen(run), script)


def test_a_note_is_written_and_read_again(run: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pilot.press("e", "b", "u", "t", "enter", "c", "ctrl+s")
        assert read_note(run) == "but\nc\n"
        assert shown(app).split("\n")[0].strip() == "but"
        await pilot.press("e", "d", "escape")
        assert isinstance(app.screen, Ask)
        await pilot.press("d")
        assert read_note(run) == "but\nc\n", "discarded"
        await pilot.press("e")
        assert app.screen.query_one(NoteArea).text == "but\nc"
        await pilot.press("d", "escape", "s")
        assert read_note(run) == "but\ncd\n"
        await pilot.press("e", "escape", "n")
        assert app.result == "clone", "Esc left the editor, and the keys are the screen's again"

    drive(RunInfoScreen(run), script)


def test_a_note_that_cannot_be_written_stays_in_the_editor(run: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        (run / "note.md").mkdir()
        await pilot.press("e", "x", "ctrl+s")
        assert app.screen.query_one(NoteArea).text == "x"
        assert app.screen.has_class("-editing")

    drive(RunInfoScreen(run), script)


def test_control_characters_of_a_strangers_note_do_not_reach_the_editor(run: Path) -> None:
    write_note(run, "a\x1b[2Jb")

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await opened(app, pilot)
        await pilot.press("e")
        assert app.screen.query_one(NoteArea).text == "a␛[2Jb"

    drive(RunInfoScreen(run), script)


def test_only_the_end_of_a_long_log_is_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOG_BYTES", 20)
    (run / "train.log").write_bytes(b"first line\nsecond \xff\nthird\n")
    assert reading.read_log(run) == ("second \\xff\nthird\n", 11)
    assert reading.read_log(run / "gone") == ("", 0)
