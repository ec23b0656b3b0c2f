"""The start screen."""

import pytest
from textual.pilot import Pilot

from tests.helpers.screens import Host, drive, rows, text_of, until
from tinygpt import __version__, formatting
from tinygpt.config import build
from tinygpt.presets import PRESETS
from tinygpt_tui.launch import cost
from tinygpt_tui.launch.surroundings import CorpusSource
from tinygpt_tui.screens import start
from tinygpt_tui.screens.start import Start


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


def test_device_version_and_corpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    warning = "an offline substitute: losses do not compare"
    monkeypatch.setattr(start, "device_text", lambda: "CPU, 2 cores")
    monkeypatch.setattr(start, "corpus_source", lambda: CorpusSource("a text", "./a.txt", warning))

    async def script(app: Host, pilot: Pilot[None]) -> None:
        app.query_one(Start).describe()
        await until(pilot, lambda: "CPU, 2 cores" in text_of(app, ".machine"))
        shown = text_of(app, ".machine")
        assert "a text: ./a.txt" in shown
        assert f"tinygpt-tui {__version__}" in shown
        assert warning in shown
        inner = app.query_one(Start).region
        assert all(inner.contains_region(widget.region) for widget in app.query("Static"))

    drive(None, script, (80, 21))
