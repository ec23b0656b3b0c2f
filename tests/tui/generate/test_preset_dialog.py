"""Choosing, saving and deleting presets by keys."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, until
from tests.helpers.generating import on_tab
from tinygpt_tui.app import LabApp
from tinygpt_tui.generate.preset_dialog import name_problem
from tinygpt_tui.generate.presets import PRESETS, saved_presets
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.pick import PickDialog


def test_a_preset_is_selected_saved_and_deleted(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        pane = app.generate
        await pilot.press("D", "home", "down", "enter")
        assert pane.controller.params.greedy
        await pilot.press("G", "T", *"0.3", "enter", "D", "w")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await pilot.press(*"mine", "enter")
        assert saved_presets()["mine"].temperature == 0.3
        assert "mine" in pane.presets
        await pilot.press("D", "end", "d")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("c", "D", "end", "d")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert "mine" in saved_presets()
        await pilot.press("d")
        assert saved_presets() == {}
        assert "mine" not in pane.presets
        await pilot.press("D", "home", "delete")
        assert not isinstance(app.screen, PickDialog)
        assert [said.message for said in app._notifications] == [
            "neutral is built in and cannot be deleted"
        ]

    drive(out, on_tab(body))


def test_names_of_presets() -> None:
    assert name_problem("mine") is None
    for name in ("", " ", "a\x07", *PRESETS):
        assert name_problem(name) is not None
