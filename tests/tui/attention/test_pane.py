"""The Attention tab, driven by keys, with the real engine."""

import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from textual.pilot import Pilot
from textual.widgets import OptionList

import tinygpt
from tests.helpers.app import drive, until
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.run import Which
from tinygpt_tui.app import LabApp
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.file_name import file_problem
from tinygpt_tui.screens.pick import PickDialog
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_area import PromptArea

TEXT = "abcdefghijk cab"
"""15 characters; the context of the models is 11."""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of both variants, untrained."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "corpus.txt").write_text("a bad cab had a big face, a hidden cage\n" * 9)
    out = tmp_path / "runs"
    make_run(out, "one").close()
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(out / "one", snapshot(variant, step, loss=2 - step / 10))
    save_tokenizer(TOKENIZER, out / "one" / "tokenizer.json")
    config = out / "one" / "run.toml"
    config.write_text(f'data = "{tmp_path / "corpus.txt"}"\n' + config.read_text())
    return out


def on_tab(body: Callable[[LabApp, "Pilot[int]"], Awaitable[None]]) -> object:
    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: bool(app.attention.controller.checkpoints))
        await pilot.press("3")
        await body(app, pilot)

    return go


def settled(app: LabApp) -> bool:
    controller = app.attention.controller
    return controller.shown is not None and not controller.busy and controller._line_job is None


def screen(app: LabApp) -> str:
    return "\n".join(plain(app.query_one("#attention-view", CellView).rows))


def drawn_in(app: LabApp, columns: int) -> bool:
    return {len(row) for row in screen(app).splitlines()} == {columns}


async def typed(app: LabApp, pilot: "Pilot[int]", text: str) -> None:
    """Look at this text."""
    await until(pilot, lambda: settled(app))
    await pilot.press("t")
    app.attention.query_one(PromptArea).put(text)
    await pilot.press("enter")
    await until(pilot, lambda: app.attention.controller.text == text and settled(app))
    await pilot.pause()


def test_a_text_is_shown_at_once_with_the_weights_of_the_model(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.attention.controller
        await until(pilot, lambda: settled(app) and controller.source == "validation")
        await until(pilot, lambda: "L0 H0" in screen(app))
        assert "validation: " in screen(app)
        await typed(app, pilot, TEXT[:9])
        found = tinygpt.load(out / "one" / "dense")
        ids = torch.tensor(found.tokenizer.encode(TEXT[:9]))
        expected = tinygpt.inspect_tokens(found.model, ids).attention.numpy()
        assert controller.shown is not None
        np.testing.assert_allclose(controller.shown.attention, expected, rtol=1e-5)
        await pilot.press("right_square_bracket", "right_curly_bracket", "enter")
        await pilot.press("up", "left", "left")
        choice = controller.choice
        assert (choice.level, choice.layer, choice.head) == ("head", 1, 1)
        weight = f"{expected[1, 1, choice.query, choice.key]:.4f}"
        for size in ((80, 24), (120, 36)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: drawn_in(app, size[0]) and weight in screen(app))  # noqa: B023

    drive(out, on_tab(body), (80, 24))  # type: ignore[arg-type]


def test_parts_of_a_long_text_levels_the_other_model_and_the_timeline(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.attention.controller
        await typed(app, pilot, TEXT)
        await until(pilot, lambda: "characters 1-11 of 15" in screen(app))
        for key, part in (("pagedown", "5-15"), ("pageup", "1-11")):
            await pilot.press(key)
            await until(pilot, lambda: f"characters {part} of 15" in screen(app))  # noqa: B023
        levels = []
        for key in ("enter", "enter", "escape", "plus", "enter", "escape", "escape", "escape"):
            await pilot.press(key)
            levels.append(controller.choice.level)
        assert levels == ["head", "text", "head", "window", "text", "window", "head", "grid"]
        await pilot.press("comma")
        await until(pilot, lambda: controller.shown is not None and controller.shown.step == 3)
        await until(pilot, lambda: "step 3" in screen(app))
        await pilot.press("full_stop", "m")
        await until(
            pilot, lambda: controller.shown is not None and controller.shown.variant == "moe"
        )
        await until(pilot, lambda: "MoE · best · step 7" in screen(app))
        await pilot.press("m", "p")
        assert controller.timeline.playing
        await until(pilot, lambda: not controller.timeline.playing)
        assert controller.shown is not None
        assert (controller.shown.step, controller.timeline.chosen) == (7, None)
        await pilot.press("equals_sign", "m")
        await until(pilot, lambda: "= Dense 7" in screen(app) and "MoE 7" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_the_header_says_which_checkpoint_it_is_and_keys_show_others(out: Path) -> None:
    checkpoint.save(out / "one", snapshot("dense", 11, loss=1.9))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, TEXT)
        await until(pilot, lambda: "Dense · best · step 7 · val 1.300 · layer 0" in screen(app))
        await pilot.press("B")
        await until(pilot, lambda: "Dense · newest · step 11 · val 1.900 · layer" in screen(app))
        assert "3/3 · ◆ best 7" in screen(app)
        await pilot.press("h", "down", "down", "down", "enter")
        await until(pilot, lambda: "Dense · step 3 · val 1.700 · layer 0" in screen(app))
        await pilot.press("B")
        await until(pilot, lambda: "Dense · best · step 7" in screen(app))
        await pilot.resize_terminal(120, 36)
        header = "Dense · best · step 7 · val 1.300 · layer 0"
        await until(pilot, lambda: drawn_in(app, 120) and header in screen(app))
        choices: list[tuple[int, Which | None]] = [(0, None), (1, "newest"), (4, 3)]
        for before, which in choices:
            app.attention.controller.show_checkpoint(which)
            await pilot.press("h")
            assert app.screen.query_one(OptionList).highlighted == before, "the one that is shown"
            await pilot.press("escape")

    drive(out, on_tab(body), (80, 24))  # type: ignore[arg-type]


def test_a_damaged_best_is_left_out_and_said(out: Path) -> None:
    file = out / "one" / "dense" / "step-00000007" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, TEXT)
        await until(pilot, lambda: "Dense · best · step 3 · val 1.700" in screen(app))
        says = "Dense: step 7 cannot be used, so step 3 stands in: "
        await until(pilot, lambda: any(n.message.startswith(says) for n in app._notifications))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_a_text_that_cannot_be_inspected_is_kept_and_said(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, "a")
        await until(pilot, lambda: "1 character " in screen(app))
        assert "L0 H0 0.00" in screen(app)
        await pilot.press("enter", "left", "down", "enter", "enter", "escape")
        field = app.attention.query_one(PromptArea)
        await pilot.press("t")
        field.put("aXb")
        await until(pilot, lambda: "not in the vocabulary: 'X'" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("c")
        await until(pilot, lambda: app.focused is field)
        assert field.text == "aXb"
        field.put("")
        await pilot.press("enter")
        await until(pilot, lambda: "The text is empty" in screen(app))
        await pilot.press("escape", "g")
        await until(pilot, lambda: "has no text yet" in screen(app))
        assert app.attention.controller.text == "a"

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_unknown_characters_are_dropped_or_replaced(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.attention.controller
        for key, text in (("d", "ab"), ("r", "a b")):
            await until(pilot, lambda: settled(app))
            await pilot.press("t")
            app.attention.query_one(PromptArea).put("aXb")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await pilot.press(key)
            await until(pilot, lambda: controller.text == text and settled(app))  # noqa: B023
            assert app.focused is app.attention

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_every_key_that_changes_the_drawing(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.attention.controller
        await typed(app, pilot, TEXT[:9])
        await pilot.press("C", "l", "P", "i", "z")
        choice = controller.choice
        assert (choice.paint.colours, choice.paint.scale) == ("magma", "linear")
        assert (choice.paint.pooling, choice.statistic, choice.ordered) == (
            "mean",
            "distance",
            True,
        )
        await pilot.press("z", "right", "down")
        assert (controller.choice.layer, controller.choice.head) == (1, 1)
        await pilot.press("v")
        assert (controller.choice.mode, controller.choice.level) == ("mean", "head")
        await pilot.press("v")
        await until(pilot, lambda: "(approximation)" in screen(app))
        await pilot.press("v", "a", "home", "right", "right")
        assert (controller.choice.level, controller.choice.incoming) == ("text", True)
        assert controller.choice.query == 2
        await until(pilot, lambda: "attended by" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_files(out: Path, tmp_path: Path) -> None:
    async def save(app: LabApp, pilot: "Pilot[int]", down: int, path: Path) -> None:
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press(*["down"] * down, "enter")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        app.screen.query_one("Input").value = str(path)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, path.exists)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        (tmp_path / "some.txt").write_text("a face Ü")
        await until(pilot, lambda: settled(app))
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        app.screen.query_one("Input").value = str(tmp_path / "some.txt")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: app.attention.controller.text == "a face " and settled(app))
        assert "left out" in app.attention.controller.message
        names = ["map.csv", "all.npz", "heads.csv", "view.svg"]
        for down, name in enumerate(names):
            await save(app, pilot, down, tmp_path / name)
        with open(tmp_path / "map.csv", newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) == 8
        shown = app.attention.controller.shown
        assert shown is not None
        with np.load(tmp_path / "all.npz") as found:
            np.testing.assert_array_equal(found["attention"], shown.attention)
        assert (tmp_path / "heads.csv").read_text().count("\n") == 7
        assert (tmp_path / "view.svg").read_text().startswith("<svg")
        assert file_problem(str(tmp_path / "none")) is not None

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_the_field_takes_a_random_line_or_leaves_the_text(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller, field = app.attention.controller, app.attention.query_one(PromptArea)
        await typed(app, pilot, "abc")
        await pilot.press("t", "ctrl+r")
        await until(pilot, lambda: controller.source == "corpus" and settled(app))
        assert controller.text == "a bad cab had a big face a hidde cage", "known characters"
        assert (field.display, app.focused) == (False, app.attention)
        await pilot.press("t", "a", "escape")
        assert (field.display, app.focused) == (False, app.attention)
        assert controller.text.endswith("cage")
        assert controller.message == ""

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_a_click_selects_a_head_then_opens_it_and_a_weight(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, "abcabca")
        rows = screen(app).splitlines()
        y = next(y for y, row in enumerate(rows) if "L1 H1" in row)
        at = (rows[y].index("L1 H1"), y)
        view = app.query_one("#attention-view", CellView)
        await pilot.click(view, offset=at)
        choice = app.attention.choice
        assert (choice.level, choice.layer, choice.head) == ("grid", 1, 1)
        await pilot.click(view, offset=at)
        assert app.attention.choice.level == "head"
        before = app.attention.choice
        await pilot.click(view, offset=(5, 5))
        assert app.attention.choice != before
        assert app.attention.has_focus

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_both_measurements_of_heads_say_what_they_are(out: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("a bad cab\n" * 99)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        controller = app.attention.controller
        await until(pilot, lambda: settled(app))
        said = "Measuring all heads over a sample of the validation split"
        await pilot.press("S")
        assert [notice.message for notice in app._notifications][1:] == [said]
        await until(pilot, lambda: controller.survey is not None)
        await pilot.press("x")
        assert len(app._notifications) == 2
        await until(pilot, lambda: controller.choice.statistic == "without")
        await until(pilot, lambda: "loss without (nats) above each" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]
