"""The start screen."""

import pytest
from textual.pilot import Pilot

from tests.helpers.screens import Host, drive, rows
from tinygpt import formatting
from tinygpt.config import PRESETS, build
from tinygpt_tui.launch import cost


@pytest.mark.parametrize("size", [(60, 13), (80, 21), (120, 33)])
def test_start(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "default_preset", lambda: "nano")

    async def script(app: Host, pilot: Pilot[None]) -> None:
        assert [row.split()[0] for row in rows(app)] == list(PRESETS)
        assert "4/4/128" in rows(app)[1]
        dense = build({"preset": "nano"}).model_config("dense", 65).parameters()[0]
        assert formatting.count(dense) in rows(app)[1]
        await pilot.press("up", "enter")

    assert drive(None, script, size).result == "micro"
