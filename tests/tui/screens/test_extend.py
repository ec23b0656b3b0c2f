"""The question for the steps of a finished run."""

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.screens import Host, drive, text_of
from tinygpt_tui.screens.extend import ask_steps, problem


def answers(settings: dict[str, Any], typed: str | None, *keys: str) -> tuple[Host, list[Any]]:
    """The flags of each resume that was asked for, after typing in place of the suggestion."""
    given: list[Any] = []

    async def script(app: Host, pilot: Pilot[None]) -> None:
        ask_steps(app, "old", 1500, settings, given.append)
        await pilot.pause()
        if typed is not None:
            app.screen.query_one(Input).value = typed
        await pilot.press(*keys)

    return drive(None, script), given


def test_twice_the_steps_are_suggested() -> None:
    assert answers({}, None, "enter")[1] == [["--steps", "3000"]]


def test_esc_changes_nothing() -> None:
    assert answers({}, "9000", "escape")[1] == []


def test_other_steps_and_patience() -> None:
    flags = ["--steps", "12000", "--patience", "0"]
    assert answers({"patience": 3}, "12,000", "enter")[1] == [flags]


def test_steps_that_it_has_already_are_refused() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        ask_steps(app, "old", 1500, {}, lambda _: pytest.fail("it was resumed"))
        await pilot.pause()
        app.screen.query_one(Input).value = "1500"
        await pilot.press("enter")
        assert "more than the 1,500 steps" in text_of(app, ".problem")
        assert "learning rate warms up once more" in text_of(app, ".question")

    drive(None, script)


def test_a_target_that_was_reached_is_not_asked_about() -> None:
    app, given = answers({"target_loss": 1.5}, None)
    assert given == []
    (notice,) = app._notifications
    assert notice.message.startswith("old ends at its target loss of 1.5")


@pytest.mark.parametrize(
    ("text", "said"),
    [("many", "not a whole number"), ("", "not a whole number"), ("9" * 30, "too many")],
)
def test_what_is_no_number_of_steps(text: str, said: str) -> None:
    assert said in (problem(text, 10) or "")
