"""The comparison of runs, driven by its keys."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.groups import make_group
from tests.helpers.runs import evaluation, make_run
from tests.helpers.screens import Host, Script, drive, until
from tinygpt.run import RunWriter, list_runs
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.compare_runs import CompareRunsScreen
from tinygpt_tui.screens.runs_table import RunEntry, read_entry
from tinygpt_tui.widgets.cell_view import CellView


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for place, name in enumerate("abcd"):
        losses = 1.5 + place / 8, 1.25
        values: dict[str, object] = {"preset": "micro", "seed": place}
        make_run(tmp_path, name, values, "done", losses=losses, ago=place)
    return tmp_path


def screen(out: Path, names: str = "abcd") -> CompareRunsScreen:
    entries = [RunEntry(run, summary(run.path)) for run in list_runs(out)]
    return CompareRunsScreen([entry for entry in entries if entry.run.name in names])


def shown(app: Host) -> list[str]:
    return plain(app.screen.query_one(CellView).rows)


def when_read(*keys: str) -> Script:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app)) > 1)
        await pilot.press(*keys)

    return script


@pytest.mark.parametrize(
    ("size", "count"), [((80, 24), 4), ((120, 36), 4), ((200, 50), 4), ((70, 15), 3), ((50, 15), 2)]
)
def test_settings_and_results_are_seen_at_once(
    out: Path, size: tuple[int, int], count: int
) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read()(app, pilot)
        lines = [line.split() for line in shown(app)]
        assert lines[0] == ["a", "b", "c", "d"][:count]
        assert ["seed", "0", "1", "2", "3"][: 1 + count] in lines
        assert any(line[:2] == ["Dense", "◆1.5000"] for line in lines)
        assert any(line[:2] == ["MoE", "1.2500"] for line in lines)
        assert app.screen.region.contains_region(app.screen.query_one(".box").region)

    drive(screen(out), script, size)


def test_keys(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read()(app, pilot)
        top = shown(app)
        await pilot.press("down")
        assert shown(app)[2:-1] == top[3:], "the names of the runs stay"
        assert shown(app)[:2] == top[:2]
        await pilot.press("end", "pagedown", "down")
        assert "parameters" in shown(app)[-1]
        await pilot.press("up", "pageup", "home")
        assert shown(app) == top
        await pilot.press("a")
        assert any("gpt.layers" in line for line in shown(app))
        await pilot.press("a", "b")
        assert shown(app)[0].split() == ["b", "c", "d", "a"]
        assert any(line.split()[-1:] == ["-0.1250"] for line in shown(app)), "a, minus b"
        await pilot.press("equals_sign")
        assert app.result is None

    drive(screen(out), script)


def test_runs_that_do_not_fit_are_scrolled_to(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read("right", "right", "right")(app, pilot)
        assert shown(app)[0].split() == ["a", "c", "d"]
        await pilot.press("left")
        assert shown(app)[0].split() == ["a", "b", "c"]

    drive(screen(out), script, (70, 24))


def test_a_run_that_goes_on_is_read_on(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt_tui.screens.compare_runs.REFRESH", 0.05)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read()(app, pilot)
        with RunWriter.open(out / "b") as writer:
            writer.append(evaluation("dense", 700, 1.125, 70.0))
        await until(pilot, lambda: any("◆1.1250" in line for line in shown(app)))

    drive(screen(out, "ab"), script)


def test_runs_that_vanished_still_have_their_settings(tmp_path: Path, out: Path) -> None:
    compared = screen(out, "ab")
    for name in "ab":
        (out / name / "metrics.jsonl").unlink()

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read()(app, pilot)
        assert any(line.split() == ["seed", "0", "1"] for line in shown(app))

    drive(compared, script)


@pytest.mark.parametrize(
    ("chosen", "heading"),
    [
        ((0, 1, 2, 3), ["g-clip1.0", "g-clip2.0"]),
        ((1, 0, 2), ["g-clip2.0-s1", "g-clip1.0"]),
        ((0, 2), ["g-clip1.0-s1", "g-clip1.0-s2"]),
    ],
)
def test_the_settings_of_a_group_are_columns(
    tmp_path: Path, chosen: tuple[int, ...], heading: list[str]
) -> None:
    """Seeds alone are compared one by one: there is nothing else to compare."""
    names = make_group(tmp_path, {"optim.clip": [1.0, 2.0]}, seeds=2)
    entries = {run.name: read_entry(run) for run in list_runs(tmp_path)}

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await when_read()(app, pilot)
        assert shown(app)[0].split() == heading
        if len(chosen) == 4:
            dense = next(line.split() for line in shown(app) if "Dense" in line)
            assert dense == ["Dense", "◆1.6250", "±0.1768", "1.7500", "±0.1768", "+0.1250"]
            await pilot.press("b")
            assert shown(app)[0].split() == heading[::-1]

    drive(CompareRunsScreen([entries[names[at]] for at in chosen]), script)
