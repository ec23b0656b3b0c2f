"""Keys that arrive in one burst: the app's queue holds them all before the first is handled."""

from pathlib import Path

from textual import events
from textual.pilot import Pilot

from tests.helpers.app import drive, until
from tinygpt_tui.app import LabApp
from tinygpt_tui.widgets.prompt_area import PromptArea


def burst(app: LabApp, *keys: str) -> None:
    """All of them at once, as a terminal's one read gives them."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def test_each_key_of_a_burst_reaches_what_the_one_before_opened(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        burst(app, "2", "T", *"0.31", "enter", "X", *"53", "enter", "G")
        await until(pilot, lambda: console.params.greedy)
        assert (console.params.temperature, console.params.max_new_tokens) == (0.31, 53)
        assert app.tab == "generate"
        prompt = app.generate.query_one(PromptArea)
        burst(app, "t", "ctrl+u", *"g12?", "escape", "1")
        await until(pilot, lambda: app.tab == "train")
        assert prompt.text == "g12?"

    drive(tmp_path, body)


def test_dialogs_take_the_keys_behind_the_one_that_opens_them(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        burst(app, "question_mark", "escape", "n", "escape", "2", "D", "escape", "3", "4")
        await until(pilot, lambda: app.tab == "experts")
        assert len(app.screen_stack) == 1

    drive(tmp_path, body)
