"""The Generate tab: driven by keys with the real engine, and snapshots of made-up texts."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

import tinygpt
from tests.helpers import snapshots
from tests.helpers.app import drive, lines, until
from tests.helpers.checkpoints import snapshot
from tests.helpers.generated import made, token
from tests.helpers.generating import idle, on_tab
from tests.helpers.listed import listed
from tinygpt import checkpoint
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.app import LabApp
from tinygpt_tui.engine.protocol import Opened
from tinygpt_tui.generate import layout
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.state import Side, ViewOptions
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.screens.dialog import Ask, Dialog
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_area import PromptArea


def test_both_answer_then_branch_and_replay(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("g")
        await until(pilot, lambda: idle(app))
        texts = [side.text for side in controller.sides]
        for text, variant in zip(texts, ("dense", "moe"), strict=True):
            assert text is not None
            found = tinygpt.load(out / "one" / variant)
            said = tinygpt.generate(found.model, found.tokenizer, "abc", text.params)
            assert text.text == said
        await pilot.press("left", "left", "enter", "down", "enter")
        await until(pilot, lambda: idle(app))
        branched = controller.sides[0].text
        assert branched is not None
        assert (branched.parent, branched.at, branched.forced) == (1, 198, {198})
        assert len(controller.tree.texts) == 3
        await pilot.press("p")
        await until(pilot, lambda: not controller.generating)
        assert [t.opened.step for t in controller.listed if t.opened] == [3, 7, 7]
        for columns in (80, 120):
            rows = layout.texts(controller, "", columns, 20)
            assert {width(cells) for cells in rows} == {columns}
            assert "step 3" in "\n".join(plain(rows))

    drive(out, on_tab(body), (80, 24))


def test_the_heading_says_which_checkpoint_it_is_and_a_key_generates_with_the_other(
    out: Path,
) -> None:
    checkpoint.save(out / "one", snapshot("dense", 3, loss=1.25))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: "Dense (newest · step 7 · val 1.500)" in lines(app, "texts"))
        await pilot.press("X", *"3", "enter", "S", *"5", "enter", "g")
        await until(pilot, lambda: idle(app))
        await until(pilot, lambda: "Dense · newest · step 7 · val 1.500" in lines(app, "texts"))
        await pilot.press("B")
        await until(pilot, lambda: idle(app))
        await until(pilot, lambda: "Dense · best · step 3 · val 1.250" in lines(app, "texts"))
        assert "MoE · best · step 7 · val 1.500" in lines(app, "texts")
        await pilot.press("m", "m", "B")
        same = "The newest checkpoint is the best one"
        await until(pilot, lambda: any(n.message == same for n in app._notifications))
        await pilot.press("m", "comma")
        await until(pilot, lambda: idle(app) and "Dense · best · step 3" in lines(app, "texts"))
        await pilot.press("full_stop")
        await until(pilot, lambda: idle(app) and "Dense · newest · step 7" in lines(app, "texts"))
        await pilot.press("comma", "comma")
        first = "This is the first checkpoint"
        await until(pilot, lambda: any(n.message == first for n in app._notifications))
        await pilot.press("p")
        await until(pilot, lambda: not app.generate.controller.generating)
        for size in ((120, 36), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "Dense · best · step 3" in lines(app, "texts"))

    drive(out, on_tab(body), (80, 24))


def _has_tokens(controller: GenerateController) -> bool:
    return controller.text is not None and len(controller.text.tokens) > 0


def test_single_tokens_and_what_was_stopped_goes_on(out: Path) -> None:
    """A burst of keys generates a token each; Esc stops, and one more token follows."""

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("X", *"3", "enter", "g")
        await until(pilot, lambda: idle(app) and _has_tokens(controller))
        for _ in range(5):
            app.generate.action_one_token()
        await until(pilot, lambda: idle(app))
        assert [len(side.text.tokens) for side in controller.sides if side.text] == [8, 8]
        app.generate.action_one_token()
        app.generate.action_one_token()
        app.generate.action_back()
        await until(pilot, lambda: idle(app))
        assert all(len(side.text.tokens) <= 9 for side in controller.sides if side.text)

        before_all = controller.text
        await pilot.press("X", *"20000", "enter", "m", "g")
        await until(pilot, lambda: controller.text is not before_all and _has_tokens(controller))
        await pilot.press("escape")
        await until(pilot, lambda: idle(app))
        text = controller.text
        assert text is not None
        before = len(text.tokens)
        assert (before < 20000, text.end) == (True, "stopped")
        await pilot.press("o")
        await until(pilot, lambda: idle(app) and len(text.tokens) == before + 1)

    drive(out, on_tab(body))


def test_settings_are_typed_stepped_and_refused_and_one_model_is_not_said_to_be_two(
    out: Path,
) -> None:
    shutil.rmtree(out / "one" / "moe")

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("T", "up", "enter")
        assert controller.params.temperature == 0.8
        await pilot.press("P")
        await pilot.pause()
        await pilot.press("2", "enter")
        shown = str(app.generate.query_one("#field-range").render())
        assert "0 to 1" in shown
        await pilot.press("escape")
        assert controller.params.top_p == 0.9
        await pilot.press("G")
        assert controller.params.greedy
        await pilot.press("m")
        await pilot.pause()
        assert [said.message for said in app._notifications] == ["Only Dense has a checkpoint"]
        assert controller.models == "both"

    drive(out, on_tab(body))


def test_saving_offers_a_name_and_the_list_of_checkpoints_begins_at_the_chosen(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("X", *"3", "enter", "S", *"5", "enter", "g")
        await until(pilot, lambda: idle(app))
        await pilot.press("w", "enter")
        await until(pilot, (out / "dense-7-seed5.json").is_file)
        await pilot.press("h")
        assert app.screen.query_one(OptionList).highlighted == 1, "the newest of a live run"
        await pilot.press("down", "down", "enter")
        assert [controller.timelines[v].step for v in ("dense", "moe")] == [3, 7]
        await pilot.press("h")
        assert app.screen.query_one(OptionList).highlighted == 3
        await pilot.press("escape")

    drive(out, on_tab(body))


def test_lists_and_questions_are_ascii_where_all_is(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        app.generate.query_one(PromptArea).put("a\nb")
        await pilot.press("X", *"3", "enter", "g")
        await until(pilot, lambda: idle(app))
        for keys in (["b"], ["b", "e"], ["b", "delete"], ["w"], ["D", "w"], ["h"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert isinstance(app.screen, Dialog)
            shown = [strip.text for strip in app.screen._compositor.render_strips()]
            assert "".join(shown).isascii()
            while isinstance(app.screen, Dialog):
                await pilot.press("escape")

    drive(out, on_tab(body), ascii=True)


def test_samples_comparison_and_views(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("a", "y", "w")
        assert [said.message for said in app._notifications] == ["No text yet: g generates one"] * 3
        await pilot.press("X", *"4", "enter", "e")
        await until(pilot, lambda: len(controller.listed) == 5 and not controller.generating)
        await pilot.press("down", "enter", "c")
        assert controller.listed == []
        await until(pilot, lambda: idle(app))
        assert len(controller.text.tokens if controller.text else ()) == 8
        await pilot.press("equals_sign", "T", *"0.2", "enter", "a")
        await until(pilot, lambda: idle(app) and len(controller.sides) == 2)
        params = [side.text.params.temperature for side in controller.sides if side.text]
        assert params == [0.7, 0.2]
        await pilot.press("equals_sign", "x", "v", "right_curly_bracket", "W", "m", "y")
        assert (controller.active, controller.models) == (1, "dense")
        assert controller.options == ViewOptions("expert", layer=1, marks=True)
        assert controller.text is not None
        assert app.clipboard == "abc" + controller.text.text
        await pilot.press("left", "up", "enter", "right", "escape", "escape")
        assert (controller.cursor, controller.candidate) == (None, None)

    drive(out, on_tab(body))


def test_the_prompt_is_edited_recalled_and_loses_unknown_characters(
    out: Path,
) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        prompt = app.generate.query_one(PromptArea)
        await pilot.press("X", *"1", "enter", "t", "ctrl+u", *"ab", "ctrl+j", "c", "enter")
        await until(pilot, lambda: idle(app))
        await pilot.press("enter", "ctrl+a", "ctrl+k", "up", "up")
        assert prompt.text == "ab\nc"
        await pilot.press("escape")
        assert app.generate.has_focus
        prompt.put("aXb")
        await pilot.pause()
        assert "not in the vocabulary: 'X'" in lines(app, "texts")
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("r")
        await until(pilot, lambda: idle(app))
        assert prompt.text == "a b"

    drive(out, on_tab(body))


WORDS = "a bad cab\ndeed a bee\nace cede dab add bead "


def fill(controller: GenerateController) -> None:
    """Two texts side by side, with the cursor on a token that the filters left."""
    controller.run = Path("run")
    controller.update_checkpoints({"dense": listed(3, 7, 11, best=7), "moe": listed(3, 7)})
    controller.params = SamplingParams(temperature=0.8, top_k=5, seed=3)
    dense, moe = made(WORDS * 3, p=0.61), made(WORDS * 2)
    moe.tokens = [
        token(c, experts=(i % 4, i // 7 % 4), p=(0.95, 0.7, 0.41, 0.2, 0.05)[i % 5])
        for i, c in enumerate(WORDS * 2)
    ]
    moe.path = "run/moe/step-00000007"
    moe.opened = Opened(2, "run/moe/step-00000007", "moe", 7, 1.4, 2, 4)
    dense.new_tokens = moe.new_tokens = 101
    dense.seconds, moe.seconds = 0.1, 0.2
    dense.forced = {4}
    controller.sides = [Side("Dense", "dense.bold", dense), Side("MoE", "moe.bold", moe)]
    controller.active, controller.cursor = 1, 6


LOOKS = {
    "surprisal": {"colour": "surprisal"},
    "expert": {"colour": "expert", "layer": 1, "marks": True},
}


@pytest.mark.parametrize("ascii", [False, True], ids=["", "ascii"])
def test_looks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ascii: bool,  # noqa: FBT001 - of the parameters
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("2")
        pane = app.generate
        for columns, height in ((80, 24), (120, 36)):
            await pilot.resize_terminal(columns, height)
            await until(pilot, lambda: pane.size == (columns, height - 2))  # noqa: B023
            pane.draw()  # which divides the height among its parts
            await pilot.pause()
            for look, options in LOOKS.items():
                fill(pane.controller)
                pane.controller.options = replace(ViewOptions(), **options)  # type: ignore[arg-type]
                pane.draw()
                rows = [row for view in pane.query(CellView) for row in view.rows]
                name = f"generate-{look}-{columns}x{height}"
                if ascii:
                    name, rows = f"{name}-ascii", snapshots.as_ascii(rows)
                snapshots.check(name, rows)

    drive(tmp_path, body, ascii=ascii)


def test_a_click_puts_the_cursor_in_a_text(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.generate.controller
        await pilot.press("X", *"30", "enter", "g")
        await until(pilot, lambda: idle(app))
        view = app.query_one("#texts", CellView)
        await pilot.click(view, offset=(1 + len("abc") + 7, 1))
        assert controller.cursor is not None
        assert controller.active == 0
        await pilot.click(view, offset=(120 - 40, 1))
        assert controller.active == 1
        assert app.generate.has_focus

    drive(out, on_tab(body))
