"""The help: at the open tab, filtered by typing, closed by the key that opened it."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.helpers.app import drive, until
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp
from tinygpt_tui.keymap import GROUPS, titles_of
from tinygpt_tui.screens.help import HelpScreen, help_text
from tinygpt_tui.screens.runs import RunsScreen


def titles(text: str) -> list[str]:
    return [line[3:-4] for line in text.splitlines() if line.startswith("[b]")]


def entries(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("  [$accent]")]


def test_all_keys_are_listed_and_those_of_the_open_tab_first() -> None:
    assert titles(help_text(80, titles_of("train")))[:3] == ["Run", "Charts", "General"]
    assert titles(help_text(80, titles_of("experts")))[:3] == ["Experts", "Run", "General"]
    text = help_text(80, titles_of("generate"))
    assert sorted(titles(text)) == sorted(GROUPS)
    assert len(entries(text)) == sum(map(len, GROUPS.values()))


@pytest.mark.parametrize(
    ("query", "key", "others"),
    [
        ("temperature", "T", ["K"]),
        ("TEMP", "T", ["K"]),
        ("peratu", "T", ["K"]),  # in the middle of a word
        ("OSC copy", "y", ["T"]),  # in any order
        ("T", "T", ["K"]),
        ("ctrl+t", "ctrl+t", ["T"]),
        ("[", r"\[", ["T"]),
    ],
)
def test_a_filter_finds_keys_and_words(query: str, key: str, others: list[str]) -> None:
    found = entries(help_text(80, titles_of("generate"), query))
    assert any(f"]{key} " in line for line in found)
    assert not any(f"]{other} " in line for line in found for other in others)


def test_it_says_so_if_nothing_is_found() -> None:
    assert "No key does that" in help_text(80, titles_of("train"), "zzz")


def test_typing_filters_and_the_same_key_closes(tmp_path: Path) -> None:
    """The list scrolls while the filter has the focus."""

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        for closes in ("question_mark", "escape"):
            await pilot.press("3", "question_mark", *"rollout q")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            assert app.screen.query_one(Input).value == "rollout q"
            await pilot.press("backspace", "backspace")
            shown = str(app.screen.query_one(Static).render())
            assert "mean over heads" in shown
            assert "Zoom in" not in shown
            await pilot.press(closes)
            await until(pilot, lambda: len(app.screen_stack) == 1)
            assert app.tab == "attention"
        await pilot.press("question_mark", "pagedown", "down")
        await until(pilot, lambda: app.screen.query_one("VerticalScroll").scroll_y > 1)
        await pilot.press("up", "pageup")
        await until(pilot, lambda: app.screen.query_one("VerticalScroll").scroll_y == 0)

    drive(tmp_path, body, (80, 24))


def test_the_list_of_runs_has_its_own_keys_first(live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown = str(app.screen.query_one(Static).render())
        assert shown.startswith("List of runs")
        await pilot.press("question_mark")
        assert isinstance(app.screen, RunsScreen)

    drive(live.path.parent, body)
