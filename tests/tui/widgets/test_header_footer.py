"""Clicks on tabs and on keys of the footer."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, lines, opened, until
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp
from tinygpt_tui.screens.help import HelpScreen
from tinygpt_tui.widgets.header_footer import Footer, Header


def test_tabs_and_keys_are_clicked(tmp_path: Path, live: RunWriter) -> None:
    async def click_key(app: LabApp, pilot: "Pilot[int]", text: str) -> None:
        await pilot.click(Footer, offset=(lines(app, "footer").index(text) + 1, 0))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.current_run.live)
        await click_key(app, pilot, "space pause")
        assert (live.path / "control" / "pause").exists()
        await click_key(app, pilot, "x axis")
        assert app.train.state.options.x_axis == "epochs"
        await pilot.click(Header, offset=(lines(app, "header").index("3 Attention"), 0))
        assert app.tab == "attention"
        assert app.attention.has_focus
        await click_key(app, pilot, "? help")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape")
        await pilot.click(Header, offset=(100, 0))  # not a tab
        assert app.tab == "attention"

    drive(tmp_path, body)
