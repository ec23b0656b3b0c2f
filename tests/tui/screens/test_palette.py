"""The command palette: what it offers, finds and does."""

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.helpers.app import drive, opened, until
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp
from tinygpt_tui.generate.setting_field import SettingField
from tinygpt_tui.screens.new_run import NewRunScreen
from tinygpt_tui.screens.palette import Palette


def test_only_what_has_an_effect_is_offered(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await pilot.press("ctrl+p")
        palette = app.screen
        assert isinstance(palette, Palette)
        actions = {command.key.action for command in palette.found}
        assert {"stop", "pause"} <= actions
        assert not actions & {"resume", "app.clear_overlays", "command_palette"}
        await pilot.press("ctrl+p")
        assert len(app.screen_stack) == 1
        await pilot.press("ctrl+p", *"stop after", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        assert not (live.path / "control" / "stop").exists()

    drive(tmp_path, body)


def test_enter_the_arrows_and_a_click_choose(tmp_path: Path) -> None:
    """A command of another tab goes there first."""

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("ctrl+p", *"set temper", "enter")
        await until(pilot, lambda: app.tab == "generate" and app.query_one(SettingField).display)
        assert len(app.screen_stack) == 1
        await pilot.press("escape", "1")
        await pilot.press("ctrl+p", *"zzz", "enter")
        assert isinstance(app.screen, Palette)
        await pilot.press(*["backspace"] * 3, *"app go to", "down", "enter")
        await until(pilot, lambda: app.tab == "generate")
        await pilot.press("ctrl+p", *"new run")
        await pilot.pause()
        await pilot.click(OptionList, offset=(5, 0))
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))

    drive(tmp_path, body, (80, 24))
