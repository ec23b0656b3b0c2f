"""The Generate tab, driven by keys, with the real engine."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

import tinygpt
from tests.helpers.app import drive, until
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt.data.tokenizer import save_tokenizer
from tinygpt_tui.app import LabApp
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.screens.dialog import Ask, Dialog
from tinygpt_tui.widgets.prompt_area import PromptArea


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of both variants, untrained."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    out = tmp_path / "runs"
    make_run(out, "one").close()
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(out / "one", snapshot(variant, step))
    save_tokenizer(TOKENIZER, out / "one" / "tokenizer.json")
    return out


def on_tab(body: Callable[[LabApp, "Pilot[int]"], Awaitable[None]]) -> object:
    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(
            pilot, lambda: bool(app.generate.controller.kept and app.generate.controller.known)
        )
        await pilot.press("2")
        app.generate.query_one(PromptArea).put("abc")
        await pilot.pause()
        await body(app, pilot)

    return go


def idle(app: LabApp) -> bool:
    return bool(app.generate.controller.sides) and not app.generate.controller.writing


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_both_answer_then_branch_and_replay(out: Path, size: tuple[int, int]) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        await pilot.press("g")
        await until(pilot, lambda: idle(app))
        texts = [side.text for side in console.sides]
        for text, variant in zip(texts, ("dense", "moe"), strict=True):
            assert text is not None
            found = tinygpt.load(out / "one" / variant)
            said = tinygpt.generate(found.model, found.tokenizer, "abc", text.params)
            assert text.text == said
        await pilot.press("left", "left", "enter", "down", "enter")
        await until(pilot, lambda: idle(app))
        branched = console.sides[0].text
        assert branched is not None
        assert (branched.parent, branched.at, branched.forced) == (1, 198, {198})
        assert len(console.tree.texts) == 3
        await pilot.press("f")
        await until(pilot, lambda: not console.writing)
        assert [t.opened.step for t in console.listed if t.opened] == [3, 7, 7]
        rows = app.generate._texts(size[0], 20)
        assert {width(cells) for cells in rows} == {size[0]}
        assert "step 3" in "\n".join(plain(rows))

    drive(out, on_tab(body), size)  # type: ignore[arg-type]


def test_escape_stops_and_more_goes_on(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        await pilot.press("X", *"20000", "enter", "m", "g")
        await until(pilot, lambda: bool(console.text and console.text.tokens))
        await pilot.press("escape")
        await until(pilot, lambda: idle(app))
        text = console.text
        assert text is not None
        before = len(text.tokens)
        assert (before < 20000, text.over) == (True, "stopped")
        await pilot.press("full_stop")
        await until(pilot, lambda: idle(app) and len(text.tokens) == before + 1)

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_settings_are_typed_stepped_and_refused(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        await pilot.press("T", "up", "enter")
        assert console.params.temperature == 0.8
        await pilot.press("P")
        await pilot.pause()
        await pilot.press("2", "enter")
        shown = str(app.generate.query_one("#field-range").render())
        assert "between 0 and 1" in shown
        await pilot.press("escape")
        assert console.params.top_p == 0.9
        await pilot.press("G")
        assert console.params.greedy

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_unknown_characters_are_dropped_or_replaced(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        prompt = app.generate.query_one(PromptArea)
        prompt.put("aXb")
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("r")
        await until(pilot, lambda: idle(app))
        assert prompt.text == "a b"

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_a_burst_of_single_tokens_is_so_many_tokens(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        await pilot.press("X", *"3", "enter", "g")
        await until(pilot, lambda: idle(app) and bool(console.text and console.text.tokens))
        for _ in range(5):
            app.generate.action_one()
        await until(pilot, lambda: idle(app))
        assert [len(side.text.tokens) for side in console.sides if side.text] == [8, 8]
        app.generate.action_one()
        app.generate.action_one()
        app.generate.action_back()
        await until(pilot, lambda: idle(app))
        assert all(len(side.text.tokens) <= 9 for side in console.sides if side.text)

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_saving_offers_a_name_and_the_list_of_checkpoints_begins_at_the_chosen(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        console = app.generate.controller
        await pilot.press("X", *"3", "enter", "S", *"5", "enter", "g")
        await until(pilot, lambda: idle(app))
        await pilot.press("d", "enter")
        await until(pilot, (out / "dense-7-seed5.json").is_file)
        await pilot.press("h", "down", "down", "enter")
        assert console.steps == {"dense": 3}
        await pilot.press("h")
        assert app.screen.query_one(OptionList).highlighted == 2
        await pilot.press("escape")

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_one_model_alone_is_not_said_to_be_two(out: Path) -> None:
    shutil.rmtree(out / "one" / "moe")

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("m")
        await pilot.pause()
        assert [said.message for said in app._notifications] == [
            "Dense answers: there is no checkpoint of another"
        ]
        assert app.generate.controller.models == "both"

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_lists_and_questions_are_ascii_where_all_is(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        app.generate.query_one(PromptArea).put("a\nb")
        await pilot.press("X", *"3", "enter", "g")
        await until(pilot, lambda: idle(app))
        for keys in (["b"], ["b", "e"], ["b", "delete"], ["d"], ["o", "w"], ["h"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert isinstance(app.screen, Dialog)
            lines = [strip.text for strip in app.screen._compositor.render_strips()]
            assert "".join(lines).isascii()
            while isinstance(app.screen, Dialog):
                await pilot.press("escape")

    drive(out, on_tab(body), ascii=True)  # type: ignore[arg-type]
