"""A list to choose from: Enter, other keys, and Esc."""

import asyncio

from textual.app import App

from tinygpt_tui.screens.pick import PickDialog, PickResult


def answer(*keys: str) -> list[PickResult | None]:
    """What the dialog gives for these keys."""
    results: list[PickResult | None] = []

    async def go() -> None:
        app: App[None] = App()
        async with app.run_test() as pilot:
            entries = [("a", "first"), ("b", "second"), ("c", "third")]
            dialog = PickDialog("List", entries, group="Decoding presets", at=1)
            app.push_screen(dialog, results.append)
            await pilot.pause()
            await pilot.press(*keys)

    asyncio.run(go())
    return results


def test_keys_act_on_the_highlighted_entry() -> None:
    assert answer("enter") == [PickResult("select", "b")]
    assert answer("up", "w") == [PickResult("save", "a")]
    assert answer("down", "delete") == [PickResult("delete", "c")]
    assert answer("d") == [PickResult("delete", "b")]
    assert answer("e", "escape") == [None]
    assert answer("q") == [None]
    assert answer("question_mark", "question_mark", "w") == [PickResult("save", "b")]
