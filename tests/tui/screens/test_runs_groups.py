"""Groups in the list of runs."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.groups import make_group
from tests.helpers.runs import make_run
from tests.helpers.screens import UNSET, Host, drive, rows, text_of, until
from tinygpt_tui.screens.compare_runs import CompareRunsScreen
from tinygpt_tui.screens.runs import RunsResult, RunsScreen


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The group g, of two settings with two seeds, of which the last run was killed, and a run
    older than it."""
    make_group(tmp_path, {"optim.clip": [1.0, 2.0]}, seeds=2, done=3)
    make_run(tmp_path, "old", {"preset": "micro"}, "done", ago=500.0)
    return tmp_path


NAMES = ["g-clip2.0-s2", "g-clip1.0-s2", "g-clip2.0-s1", "g-clip1.0-s1"]
"""As the list has them, the newest first."""


def listed(app: Host) -> list[str]:
    return [row.lstrip(" ▸+1234").split("  ")[0] for row in rows(app)]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_a_group_is_one_row_that_unfolds_to_its_runs(out: Path, size: tuple[int, int]) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        group, old = rows(app)
        assert group.split()[:4] == ["[+]", "g", "3/4", "done"]
        assert group.split()[4:7] == ["micro", "1.6250", "1.3750"], "the lowest mean of a setting"
        assert old.split()[0] == "old"
        about = text_of(app, ".details")
        assert "group of 4 runs · 2 settings" in about
        assert "Dense g-clip1.0 1.6250 ± 0.1768 · g-clip2.0 1.6250" in about
        await pilot.press("enter")
        assert listed(app) == ["[-] g", *NAMES, "old"]
        await pilot.press("enter")
        assert listed(app) == ["[+] g", "old"]
        assert app.result is UNSET

    drive(RunsScreen(out), script, size)


def test_the_group_of_the_open_run_is_unfolded(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        assert listed(app) == ["[-] g", *NAMES, "old"]
        await pilot.press("enter")

    app = drive(RunsScreen(out, current=out / NAMES[1]), script)
    assert app.result == RunsResult("open", (out / NAMES[1],)), "the cursor begins at the open run"


def test_all_runs_of_a_group_are_marked_at_once_and_numbered_by_setting(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press("enter", "space")
        assert [row[:2] for row in rows(app)] == [" +", " 1", " 2", " 1", " 2", "  "]
        await pilot.press("up", "space")
        assert [row[:2] for row in rows(app)] == ["  "] * 6
        await pilot.press("up", "space", "o")

    app = drive(RunsScreen(out), script)
    by_setting = tuple(out / NAMES[at] for at in (0, 2, 1, 3))
    assert app.result == RunsResult("overlay", by_setting)


def test_the_open_run_stays_part_of_a_mean(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press("home", "o")

    app = drive(RunsScreen(out, current=out / NAMES[1]), script)
    assert app.result is not UNSET
    assert out / NAMES[1] in app.result.paths


def test_a_filter_shows_the_runs_that_match_in_their_group(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press("slash", *"s2", "enter")
        assert listed(app) == ["[-] g", *NAMES[:2]]
        await pilot.press("escape")
        assert listed(app) == ["[+] g", "old"]

    drive(RunsScreen(out), script)


def test_what_is_for_one_run_says_how_to_get_to_it(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        for key in ("I", "n", "d", "R", "u"):
            await app.show_another(RunsScreen(out))
            await until(pilot, lambda: rows(app))
            await pilot.press(key)
            says = [n.message for n in app._notifications]
            assert says == ["g is a group: Enter unfolds it to its runs."], key
            assert app.result is UNSET

    drive(None, script)


def test_a_group_is_compared_as_a_whole(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press("equals_sign")
        await until(pilot, lambda: isinstance(app.screen, CompareRunsScreen))

    drive(RunsScreen(out), script)
