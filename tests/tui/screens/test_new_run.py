"""The form for a new run, driven by its keys."""

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from tests.helpers.screens import UNSET, Host, drive, press, until
from tinygpt_tui.launch.measured import MeasuredRun
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.new_run import FormView, NewRunScreen

SIZES = [(80, 24), (120, 36), (40, 12)]


def view(app: Host) -> FormView:
    return app.screen.query_one(FormView)


def text(app: Host) -> str:
    return "\n".join(plain(view(app).rows))


def test_form_names_the_run_and_what_differs(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press(*"first", "down", "right", "down", "right", "down")  # baby, dense
        assert "5000" in text(app)
        await pilot.press(*"300", "down", *"2.5", *["down"] * 6)
        await pilot.press(*"3e-2", "tab", *"7", "enter")

    app = drive(NewRunScreen(tmp_path, values={"preset": "nano"}), script)
    assert app.result[:3] == (
        "first",
        "baby",
        [
            *("--name", "first", "--preset", "baby", "--model", "dense"),
            *("--steps", "300", "--minutes", "2.5"),
            *("--optim.matrix-learning-rate", "0.03", "--seed", "7"),
        ],
    )
    assert app.result.values["optim.matrix_learning_rate"] == "3e-2"


def test_blank_form_names_only_the_preset(tmp_path: Path) -> None:
    app = drive(NewRunScreen(tmp_path, values={"preset": "micro"}), press("ctrl+s"))
    assert app.result[:3] == (None, "micro", ["--preset", "micro"])
    assert drive(NewRunScreen(tmp_path), press("escape")).result is None


def test_form_does_not_start_with_a_problem(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        assert app.result is UNSET
        assert "Steps 'many' is not a whole number" in text(app)
        await pilot.press("ctrl+u", "5", "enter")  # the cursor has moved to the problem
        await until(pilot, lambda: app.result is not UNSET)

    values = {"steps": "many", "preset": "nano"}
    app = drive(NewRunScreen(tmp_path, values=values), script)
    assert app.result.arguments == ["--preset", "nano", "--steps", "5"]


def test_keys_of_one_burst_reach_the_field_that_they_are_for(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        state = view(app).state
        state.go("steps")
        for key in ("3", "0", "down", "2", "down", "down", "7", "up", "9"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: state.text("tokenizer") == "9" or state.text("data") == "9")
        found = {name: state.text(name) for name in ("steps", "minutes", "data", "tokenizer")}
        assert found == {"steps": "30", "minutes": "2", "data": "9", "tokenizer": "7"}

    drive(NewRunScreen(tmp_path), script)


def test_escape_leaves_the_search_first(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f", *"decay", "escape")
        assert app.result is UNSET
        await pilot.press("escape")

    assert drive(NewRunScreen(tmp_path), script).result is None


@pytest.mark.parametrize("size", SIZES)
def test_form_fits_and_scrolls(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+f", "enter", *["pagedown"] * 9)
        await pilot.pause()
        box = app.screen.query_one(".box").region
        assert app.screen.region.contains_region(box)
        assert box.contains_region(view(app).region)
        assert len(view(app).rows) == view(app).size.height
        assert "▸   Threads" in text(app)

    drive(NewRunScreen(tmp_path, values={"preset": "nano"}), script, size)


def test_form_shows_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [MeasuredRun("earlier", (), 0.5)]
    monkeypatch.setattr("tinygpt_tui.launch.measured.measured_runs", lambda _: runs)
    monkeypatch.setattr(
        "tinygpt_tui.launch.measured.find", lambda _, known, __: next(iter(known), None)
    )

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "16:40, as in earlier" in text(app))

    drive(NewRunScreen(tmp_path, values={"preset": "nano"}), script)


def test_form_by_mouse(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.pause()
        row = next(i for i, line in enumerate(text(app).splitlines()) if "○ dense" in line)
        column = text(app).splitlines()[row].index("dense")
        await pilot.click(FormView, offset=(column, row))
        await pilot.press("enter")

    assert drive(NewRunScreen(tmp_path), script).result.arguments[-2:] == ["--model", "dense"]
