"""The Train tab in the app: its keys, the mouse, and when it is drawn."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, opened, screen_text, until
from tests.helpers.scenes import make_run, records
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp
from tinygpt_tui.train.state import Options

KEYS: list[tuple[str, str, object]] = [
    ("x", "x_axis", "epochs"),
    ("x x x", "x_axis", "time"),
    ("l", "log_y", True),
    ("l l", "log_y", False),
    ("y", "full_y_range", True),
    ("v", "right", "learning rate"),
    ("v v v v", "right", "perplexity"),
    ("V", "charts", "left"),
    ("V v", "charts", "both"),
    ("V V", "charts", "right"),
    ("V V v", "right", "learning rate"),
    ("V V V", "charts", "both"),
    ("right_square_bracket", "span", 100),
    ("left_square_bracket", "span", 20),
    ("plus", "window", (15.5, 31.5)),
    ("plus minus", "window", None),
    ("plus 0", "window", None),
    ("plus shift+left", "window", (7.5, 23.5)),
    ("plus left right", "window", (15.5, 31.5)),
    ("enter", "cursor", 30.0),
    ("enter enter", "cursor", None),
    ("enter escape", "cursor", None),
    ("escape", "cursor", None),
    ("enter left", "cursor", 29.0),
    ("enter shift+left right", "cursor", 21.0),
    ("m", "hidden", frozenset({"moe"})),
    ("m m", "hidden", frozenset({"dense"})),
    ("m m m", "hidden", frozenset()),
    ("e", "hidden", frozenset({"train"})),
    ("m e e", "hidden", frozenset({"moe", "val"})),
    ("e e e", "hidden", frozenset()),
]
"""Keys, the option that they change, and its value then."""


def test_each_key_of_the_charts(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        for keys, attribute, value in KEYS:
            app.train.update_state(options=Options())
            await pilot.press(*keys.split())
            assert getattr(app.train.state.options, attribute) == value, keys

    drive(tmp_path, body)


def test_a_run_is_drawn_as_soon_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, "over", records(30, end=True)).close()
    monkeypatch.setattr("tinygpt_tui.train.pane.LIVE_FRAME", 1e6)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: "Dense - MoE" in screen_text(app))

    drive(tmp_path, body)


def test_zoom_stays_while_data_arrive(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("plus")
        window = app.train.state.options.window
        for record in records(60)[1:]:
            if getattr(record, "step", 0) > 30:
                live.append(record)
        await opened(app, pilot, 60)
        assert app.train.state.options.window == window
        await pilot.press("0")
        assert app.train.state.options.window is None

    drive(tmp_path, body)


def test_nothing_is_drawn_when_nothing_changes(tmp_path: Path) -> None:
    with make_run(tmp_path, "over", records(30, end=True)) as writer:
        writer.status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        pane = app.train
        await until(pilot, lambda: "Dense" in screen_text(app) and not pane._charts_postponed)
        pane._draw()
        rows = list(pane._view.rows)
        painted: list[object] = []
        pane._view.refresh = lambda *a, **k: painted.append(a)  # type: ignore[method-assign,assignment]
        pane._draw()
        assert pane._view.rows == rows
        assert painted == []

    drive(tmp_path, body)


def test_mouse_puts_the_crosshair_and_zooms(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.click("#train", offset=(32, 8))
        cursor = app.train.state.options.cursor
        assert cursor is not None
        assert 10 < cursor < 20

    drive(tmp_path, body)
