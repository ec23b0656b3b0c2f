"""The list of checkpoints: what it says of each, and what choosing one gives."""

import asyncio

from textual.app import App
from textual.widgets import OptionList

from tests.helpers.listed import listed
from tinygpt.run.checkpoints import Name
from tinygpt_tui.screens.pick_checkpoint import pick_checkpoint

LISTS = {
    "dense": listed(0, 700, 1200, best=700),
    "moe": listed(0, 600, 1200, best=600).without({1200: "torn"}),
}


def answer(chosen: Name | tuple[str, int], *keys: str) -> tuple[list[str], int | None, object]:
    """The entries, the highlighted one, and what was chosen with these keys."""
    results: list[object] = []
    seen: list[tuple[list[str], int | None]] = []

    async def go() -> None:
        app: App[None] = App()
        async with app.run_test() as pilot:
            pick_checkpoint(app, LISTS, chosen, results.append)
            await pilot.pause()
            options = app.screen.query_one(OptionList)
            entries = [str(option.prompt).strip() for option in options.options]
            seen.append((entries, options.highlighted))
            await pilot.press(*keys)

    asyncio.run(go())
    return *seen[0], results[0] if results else None


def test_the_best_and_the_newest_stand_first_and_are_marked() -> None:
    entries, highlighted, chosen = answer("newest", "enter")
    assert entries == [
        "the best    Dense step 700, MoE step 600",
        "the newest  Dense step 1,200, MoE step 600",
        "Dense  step    1,200  val 2.000   newest",
        "Dense  step      700  val 1.500   best",
        "Dense  step        0  val 2.200",
        "MoE    step    1,200  val 2.100   damaged",
        "MoE    step      600  val 1.500   best, newest",
        "MoE    step        0  val 2.100",
    ]
    assert (highlighted, chosen) == (1, "newest")


def test_a_step_is_of_one_model() -> None:
    _, highlighted, chosen = answer(("moe", 600), "down", "enter")
    assert (highlighted, chosen) == (6, ("moe", 0))
    assert answer("best", "escape")[1:] == (0, None)
