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
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.compare_runs import CompareRunsScreen
from tinygpt_tui.screens.run_info import RunInfoScreen
from tinygpt_tui.screens.runs import RunsResult, RunsScreen
from tinygpt_tui.widgets.cell_view import CellView

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
        assert live[:5] == ["▸", "live", "●", "Live", "micro"]
        assert done[:6] == ["done", "✓", "Done", "micro", "500", "1.6250"]
        assert done[6:8] == ["1.5000", "50s"]
        assert killed[:3] == ["killed", "†", "Killed"]
        assert {formatting.loss(None), "1.7500"} <= set(killed)
        assert ("corpus.txt" in done) == (size[0] > 100)
        assert ("cpu" in done) == (size[0] > 100)
        assert fresh[:3] == ["fresh", "○", "Starting"]
        assert "process" in text_of(app, ".details")
        assert app.screen.region.contains_region(app.screen.query_one(".box").region)

    drive(RunsScreen(out, current=out / "live"), script, size)


KEYS: list[tuple[tuple[str, ...], Any, str]] = [
    (("enter",), "open", "live"),
    (("down", "enter"), "open", "done"),
    (("down", "space", "space", "o"), "overlay", "done killed"),
    (("down", "down", "space", "up", "up", "space", "o"), "overlay", "killed done"),
    (("down", "o"), "overlay", "done"),
    (("space", "space", "o"), "overlay", "done"),
    (("down", "down", "u"), "resume", "killed"),
    (("down", "u"), "resume", "done"),
    (("down", "n"), "clone", "done"),
    (("slash", "m", "o", "e", "enter", "enter"), "open", ""),
    (("slash", "k", "i", "l", "down", "enter"), "open", "killed"),
    (("down", "space", "up", "up", "enter"), "open", "live"),
]
"""Keys, what is to be done then, and the runs to do it with; none if the list stays open."""


def test_runs_keys(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        for keys, action, names in KEYS:
            await app.show_another(RunsScreen(out, current=out / "live"))
            await in_list(*keys)(app, pilot)
            paths = tuple(out / name for name in names.split())
            assert app.result == (RunsResult(action, paths) if names else UNSET), keys

    drive(None, script)


def test_leaving_applies_nothing(out: Path) -> None:
    """Not even the marks, as Esc means everywhere else."""

    async def script(app: Host, pilot: Pilot[None]) -> None:
        for keys in (["escape"], ["q"], ["down", "space", "space", "escape"]):
            await app.show_another(RunsScreen(out, overlays=[out / "killed"]))
            await in_list(*keys)(app, pilot)
            assert app.result is None, keys

    drive(None, script)


def test_marks_begin_as_what_the_charts_show(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        assert [row[:2] for row in rows(app)] == ["▸+", "  ", " 1", "  "]
        await pilot.press("down", "space")
        assert [row[:2] for row in rows(app)] == ["▸+", " 2", " 1", "  "]
        await pilot.press("up", "up", "space", "space", "space", "o")

    overlays = [out / "killed"]
    app = drive(RunsScreen(out, current=out / "live", overlays=overlays), script)
    assert app.result == RunsResult("overlay", ()), "without marks they are removed"


def test_at_most_so_many_overlays(out: Path) -> None:
    for name in "ab":
        make_run(out, name, {"preset": "micro"}, "done")

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press(*["space"] * 5)
        assert [row[:2] for row in rows(app)] == [" 1", " 2", " 3", " 4", " +", "  "]
        await pilot.press("space", "space")
        assert [row[:2] for row in rows(app)][4:] == [" +", "  "], "it stays at the last one"
        await pilot.press("o")
        assert [n for n in app._notifications if "At most 4 runs" in n.message]
        assert app.result is UNSET

    drive(RunsScreen(out), script)


def test_the_open_run_is_no_overlay_of_itself(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("o")(app, pilot)
        assert [n for n in app._notifications if "This run is open" in n.message]
        await pilot.press("space", "space", "o")

    app = drive(RunsScreen(out, current=out / "live"), script)
    assert app.result == RunsResult("overlay", (out / "done",))


def names_of(app: Host) -> list[str]:
    return [str(option.id) for option in app.screen.query_one(OptionList).options]


def test_sorting(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        assert "started▼" in text_of(app, ".heading")
        for _ in range(10):
            if "MoE▲" in text_of(app, ".heading"):
                break
            await pilot.press("z")
        assert names_of(app) == ["live", "done", "killed", "fresh"], "1.5, 1.5, 1.75, unknown"
        await pilot.press("Z")
        assert "MoE▼" in text_of(app, ".heading")
        assert names_of(app) == ["killed", "live", "done", "fresh"]
        assert app.screen.query_one(OptionList).highlighted == 1, "the cursor stays on its run"

    drive(RunsScreen(out, current=out / "live"), script, (120, 36))


@pytest.mark.parametrize("size", SIZES)
def test_a_click_on_a_heading_sorts_by_it(out: Path, size: tuple[int, int]) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        for arrow, order in (("▲", "killed"), ("▼", "fresh")):
            place = text_of(app, ".heading").index("MoE" if arrow == "▲" else "MoE▲")
            await pilot.click(".heading", offset=(place, 0))
            assert f"MoE{arrow}" in text_of(app, ".heading")
            assert order in names_of(app)[2:]
        await pilot.click(".heading", offset=(1, 0))
        assert "run" in text_of(app, ".heading")

    drive(RunsScreen(out), script, size)


def test_filtering(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press("down", "space", "slash", *"MICRO", "space", *"li")
        assert names_of(app) == ["live"]
        assert "1 of 4 match" in str(app.screen.query_one(".box").border_title)
        await pilot.press("x")
        assert names_of(app) == []
        assert "No run matches" in text_of(app, ".details")
        await pilot.press("backspace", "enter", "space")
        assert [row[:2] for row in rows(app)] == [" 2"], "the filter stays, and hidden marks too"
        await pilot.press("escape")
        assert len(names_of(app)) == 4
        assert app.result is UNSET
        await pilot.press("escape")

    assert drive(RunsScreen(out), script).result is None


def test_the_marked_runs_are_compared(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        for keys, names in (
            (("down", "space", "space"), "done killed"),
            (("down", "down", "space"), "live killed"),
            (("down",), "live done"),
            (("space", "space"), "live done"),
        ):
            await app.show_another(RunsScreen(out, current=out / "live"))
            await in_list(*keys, "equals_sign")(app, pilot)
            assert isinstance(app.screen, CompareRunsScreen), keys
            view = app.screen.query_one(CellView)
            await until(pilot, lambda: plain(view.rows)[0].split() == names.split())  # noqa: B023
            await pilot.press("escape")
            assert isinstance(app.screen, RunsScreen)

    drive(None, script)


def test_what_cannot_be_done_with_the_runs_is_said(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        for keys, current, says in (
            (("equals_sign",), out / "live", "Mark two or more"),
            (("d",), None, "is being trained"),
            (("R",), None, "is being trained"),
            (("u",), None, "is already being trained"),
            (("down", "down", "down", "u"), None, "cannot be resumed"),
        ):
            await app.show_another(RunsScreen(out, current=current))
            await in_list(*keys)(app, pilot)
            assert [n for n in app._notifications if says in n.message], keys
            assert isinstance(app.screen, RunsScreen)
            assert app.result is UNSET

    drive(None, script)


def test_all_about_a_run(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        actions: dict[str, Any] = {"escape": None, "n": "clone", "u": "resume"}
        for key, action in actions.items():
            await app.show_another(RunsScreen(out))
            await in_list("down", "i")(app, pilot)
            assert isinstance(app.screen, RunInfoScreen)
            pages = app.screen.query_one("#pages", CellView)
            await until(pilot, lambda: "Done" in "".join(plain(pages.rows)))  # noqa: B023
            await pilot.press(key)
            assert app.result == (RunsResult(action, (out / "done",)) if action else UNSET)

    drive(None, script)


def test_a_note_is_shown_above_the_details(out: Path) -> None:
    (out / "done" / "note.md").write_text("# Twice the rate\n\nmore\n")

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down")(app, pilot)
        assert text_of(app, ".details").startswith("Twice the rate\n")
        await pilot.press("up")
        assert text_of(app, ".details").count("\n") == 3

    drive(RunsScreen(out), script)


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
        await pilot.press("o")

    app = drive(RunsScreen(out), script)
    assert app.result == RunsResult("overlay", (out / "done2",)), "it stays marked"


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
        await pilot.press(
            "enter", "space", "d", "R", "e", "o", "c", "s", "S", "slash", "x", "escape"
        )
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
