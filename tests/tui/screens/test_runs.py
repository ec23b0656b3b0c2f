"""The list of runs, driven by its keys."""

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.helpers.permissions import closed, public_folder
from tests.helpers.runs import make_run
from tests.helpers.screens import UNSET, Host, Script, drive, rows, text_of, until
from tinygpt import formatting
from tinygpt_tui.screens.runs import RunsResult, RunsScreen

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Four runs; from the newest: live, done, killed, one that has not begun."""
    folder = tmp_path / "runs"
    make_run(folder, "live", {"preset": "micro"}, "live")
    make_run(folder, "done", {"preset": "micro"}, "done", ago=500)
    make_run(folder, "killed", {"model": "moe"}, "killed", ago=90000, losses=(1.75,))
    (folder / "fresh").mkdir()
    (folder / "fresh" / "train.log").write_text("")
    os.utime(folder / "fresh", (5, 5))
    return folder


def in_list(*keys: str) -> Script:
    """Press keys once the runs are there."""

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press(*keys)

    return script


@pytest.mark.parametrize("size", SIZES)
def test_runs_are_listed(out: Path, size: tuple[int, int]) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        live, done, killed, fresh = (row.split() for row in rows(app))
        assert live[:4] == ["▸", "●", "Live", "live"]
        assert done[:3] == ["✓", "Done", "done"]
        assert {"1.625", "1.500"} <= set(done)
        assert killed[:3] == ["†", "Killed", "killed"]
        assert {formatting.loss(None), "1.750"} <= set(killed)
        assert ("corpus.txt" in done) == (size[0] > 100)
        assert fresh[:3] == ["○", "Starting", "fresh"]
        assert "process" in text_of(app, ".details")
        assert app.screen.region.contains_region(app.screen.query_one(".box").region)

    drive(RunsScreen(out, current=out / "live"), script, size)


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (("enter",), ("open", "live", ())),
        (("down", "enter"), ("open", "done", ())),
        (("down", "space", "space", "escape"), ("overlay", "done killed", ("done", "killed"))),
        (("down", "o", "up", "o", "escape"), None),
        (("down", "space", "up", "up", "enter"), ("open", "live", ("done",))),
        (("down", "down", "e"), ("resume", "killed", ())),
        (("escape",), None),
        (("q",), None),
    ],
)
def test_runs_keys(
    out: Path, keys: tuple[str, ...], result: tuple[Any, str, tuple[str, ...]] | None
) -> None:
    expected = None
    if result:
        action, names, marked = result
        paths = tuple(out / name for name in names.split())
        expected = RunsResult(action, paths, tuple(out / name for name in marked))
    assert drive(RunsScreen(out), in_list(*keys)).result == expected


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (("d",), "is being trained"),
        (("R",), "is being trained"),
        (("e",), "is already being trained"),
        (("down", "e"), "--resume --name done --steps N"),
        (("down", "down", "down", "e"), "cannot be resumed"),
    ],
)
def test_runs_refuse(out: Path, keys: tuple[str, ...], says: str) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list(*keys)(app, pilot)
        assert [n for n in app._notifications if says in n.message]
        assert isinstance(app.screen, RunsScreen)

    assert drive(RunsScreen(out), script).result is UNSET


def test_runs_delete_asks(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "d", "enter")(app, pilot)
        assert (out / "done").exists()
        await pilot.press("d", "d")
        await until(pilot, lambda: len(rows(app)) == 3)
        assert "killed" in rows(app)[1]
        assert app.screen.query_one(OptionList).highlighted == 1

    drive(RunsScreen(out), script)
    assert sorted(os.listdir(out)) == ["fresh", "killed", "live"]


def test_runs_rename(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "space", "up", "R")(app, pilot)
        await pilot.press("2", "enter")
        await until(pilot, lambda: "done2" in rows(app)[1])
        await pilot.press("escape")

    app = drive(RunsScreen(out), script)
    assert app.result == RunsResult("overlay", (out / "done2",), (out / "done2",))


def test_runs_follow_the_folder(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt_tui.screens.runs.REFRESH", 0.05)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "down")(app, pilot)
        make_run(out, "newer", {}, "stopped")
        await until(pilot, lambda: len(rows(app)) == 5)
        await pilot.press("enter")

    app = drive(RunsScreen(out), script)
    assert app.result.paths == (out / "killed",), "the cursor stays on its run"


def test_no_runs_says_how_to_begin(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "no runs" in text_of(app, ".details"))
        await pilot.press("enter", "space", "d", "R", "e")
        assert app.result is UNSET

    drive(RunsScreen(tmp_path / "nothing"), script)


def test_a_closed_folder_leaves_the_rest_in_the_list() -> None:
    with public_folder() as folder:
        make_run(folder, "mine", {"preset": "micro"}, "done")
        (folder / "theirs").mkdir()

        async def script(app: Host, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: len(rows(app)) == 2)
            shown = "\n".join(map(str, rows(app)))
            assert "mine" in shown
            assert "theirs" in shown

        with closed(folder / "theirs"):
            drive(RunsScreen(folder), script)
