"""Questions, answered by key and by mouse."""

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.helpers.screens import UNSET, Host, drive, press, text_of
from tinygpt_tui.screens.dialog import Ask, AskText

CHOICES = [("l", "leave", "leave it running"), ("s", "stop", "stop and save"), ("c", "stay", "no")]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("enter",), "leave"),
        (("down", "enter"), "stop"),
        (("up", "enter"), "stay"),
        (("s",), "stop"),
        (("escape",), None),
    ],
)
def test_ask(keys: tuple[str, ...], answer: str | None) -> None:
    assert drive(Ask("What [now]?", CHOICES), press(*keys)).result == answer


def test_ask_by_mouse() -> None:
    async def script(_: Host, pilot: Pilot[None]) -> None:
        await pilot.click(OptionList, offset=(5, 1))

    assert drive(Ask("What now?", CHOICES), script).result == "stop"


def test_ask_text_takes_only_what_is_right() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("b", "enter")
        assert app.result is UNSET
        assert text_of(app, ".problem") == "not ab"
        await pilot.press("c", "enter")

    ask = AskText("Which?", "a", lambda text: "not ab" if text == "ab" else None)
    assert drive(ask, script).result == "abc"
