"""The dialog over all texts: name, compare, delete a branch."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, until
from tests.helpers.generated import made
from tests.helpers.generating import idle, on_tab
from tinygpt_tui.app import LabApp
from tinygpt_tui.generate.tree import Tree
from tinygpt_tui.generate.tree_dialog import LABEL_WIDTH, tree_entries
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.pick import PickDialog


def test_texts_are_named_compared_and_deleted(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("b")
        assert not isinstance(app.screen, PickDialog)
        await pilot.press("X", *"5", "enter", "g")
        await until(pilot, lambda: idle(app))
        first, second = controller.tree.texts.values()
        await pilot.press("b", "home", "R")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await pilot.press(*"fine", "enter")
        assert first.name == "fine"
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press("end", "equals_sign")
        assert controller.sides[1].text is second
        await pilot.press("b", "end", "d")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("d")
        assert [*controller.tree.texts.values()] == [first]

    drive(out, on_tab(body))


def test_entries_are_indented_and_cut() -> None:
    tree = Tree()
    first = made("abc" * 40)
    tree.texts[first.id] = first
    tree._last_id = first.id
    first.name = "long"
    tree.branch(first, 1, 3, first.params)
    heading, ((_, one), (value, two)) = tree_entries(tree)
    assert heading == "text  model  step  mean NLL  begins with"
    assert one.startswith("1     Dense     7      0.92  [long] ababc")
    assert len(one) == LABEL_WIDTH
    assert (value, two) == ("2", "└ 2   Dense     7      1.61  at 2: a")
