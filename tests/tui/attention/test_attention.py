"""The Attention tab, driven by keys, with the real engine; and its browser, with a stand-in."""

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
from tests.helpers.looks import HEADS, LAYERS, looked
from tests.helpers.scenes import make_run
from tinygpt import checkpoint
from tinygpt.data.tokenizer import save_tokenizer
from tinygpt_tui.app import LabApp
from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    Request,
    SurveyRequest,
    SurveyResult,
)
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
        checkpoint.save(out / "one", snapshot(variant, step))
    save_tokenizer(TOKENIZER, out / "one" / "tokenizer.json")
    monkeypatch.setattr(
        AttentionController, "data", property(lambda _: str(tmp_path / "corpus.txt"))
    )
    return out


def on_tab(body: Callable[[LabApp, "Pilot[int]"], Awaitable[None]]) -> object:
    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: bool(app.attention.controller.kept))
        await pilot.press("3")
        await body(app, pilot)

    return go


def settled(app: LabApp) -> bool:
    browser = app.attention.controller
    return browser.shown is not None and not browser.busy and browser._picking is None


def screen(app: LabApp) -> str:
    return "\n".join(plain(app.query_one("#looked", CellView).rows))


async def typed(app: LabApp, pilot: "Pilot[int]", text: str) -> None:
    """Look at this text."""
    await until(pilot, lambda: settled(app))
    await pilot.press("t")
    app.attention.query_one(PromptArea).put(text)
    await pilot.press("enter")
    await until(pilot, lambda: app.attention.controller.text == text and settled(app))
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_something_is_shown_with_no_key_and_is_the_models(out: Path, size: tuple[int, int]) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        browser = app.attention.controller
        await until(pilot, lambda: settled(app) and browser.source == "corpus")
        await until(pilot, lambda: "L0 H0" in screen(app))
        assert "corpus: " in screen(app)
        await typed(app, pilot, TEXT[:9])
        found = tinygpt.load(out / "one" / "dense")
        ids = torch.tensor(found.tokenizer.encode(TEXT[:9]))
        expected = tinygpt.inspect_tokens(found.model, ids).attention.numpy()
        assert browser.shown is not None
        np.testing.assert_allclose(browser.shown.attention, expected, rtol=1e-5)
        await pilot.press("right_square_bracket", "right_curly_bracket", "enter")
        await pilot.press("up", "left", "left")
        choice = browser.choice
        assert (choice.level, choice.layer, choice.head) == ("head", 1, 1)
        await until(
            pilot,
            lambda: f"{expected[1, 1, choice.query, choice.key]:.4f}" in screen(app),
        )

    drive(out, on_tab(body), size)  # type: ignore[arg-type]


def test_the_ladder_the_other_model_the_timeline(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        browser = app.attention.controller
        await typed(app, pilot, TEXT)
        levels = []
        for key in ("enter", "enter", "escape", "plus", "enter", "escape", "escape", "escape"):
            await pilot.press(key)
            levels.append(browser.choice.level)
        assert levels == ["head", "text", "head", "window", "text", "window", "head", "grid"]
        await pilot.press("comma")
        await until(pilot, lambda: browser.shown is not None and browser.shown.step == 3)
        await until(pilot, lambda: "step 3" in screen(app))
        await pilot.press("full_stop", "v")
        await until(pilot, lambda: browser.shown is not None and browser.shown.variant == "moe")
        await until(pilot, lambda: "MoE 7" in screen(app))
        await pilot.press("v", "p")
        assert browser.playing
        await until(pilot, lambda: not browser.playing)
        assert browser.shown is not None
        assert (browser.shown.step, browser.step) == (7, None)
        await pilot.press("equals_sign", "v")
        await until(pilot, lambda: "=Dense 7" in screen(app) and "MoE 7" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_a_long_text_is_shown_by_parts(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, TEXT)
        await until(pilot, lambda: "characters 1-11 of 15" in screen(app))
        await pilot.press("pagedown")
        await until(pilot, lambda: "characters 5-15 of 15" in screen(app))
        await pilot.press("pageup")
        await until(pilot, lambda: "characters 1-11 of 15" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_what_cannot_be_looked_at_is_said_and_nothing_is_lost(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await typed(app, pilot, "a")
        await until(pilot, lambda: "1 character " in screen(app))
        assert "entropy 0.00" in screen(app)
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
        await until(pilot, lambda: "An empty text" in screen(app))
        await pilot.press("escape", "g")
        await until(pilot, lambda: "has written nothing yet" in screen(app))
        assert app.attention.controller.text == "a"

    drive(out, on_tab(body))  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "text"), [("d", "ab"), ("r", "a b")])
def test_unknown_characters_are_dropped_or_replaced(out: Path, key: str, text: str) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: settled(app))
        await pilot.press("t")
        app.attention.query_one(PromptArea).put("aXb")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(key)
        await until(pilot, lambda: app.attention.controller.text == text and settled(app))
        assert app.focused is app.attention

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_the_list_of_checkpoints_begins_at_the_one_that_is_shown(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: settled(app))
        for before, step in ((0, None), (2, 3)):
            app.attention.controller.to_step(step)
            await pilot.press("h")
            assert app.screen.query_one(OptionList).highlighted == before
            await pilot.press("escape")

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_every_key_of_the_looks(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        browser = app.attention.controller
        await typed(app, pilot, TEXT[:9])
        await pilot.press("o", "l", "x", "i", "z")
        choice = browser.choice
        assert (choice.paint.colours, choice.paint.scale) == ("magma", "linear")
        assert (choice.paint.pooling, choice.statistic, choice.ordered) == (
            "mean",
            "distance",
            True,
        )
        await pilot.press("z", "right", "down")
        assert (browser.choice.layer, browser.choice.head) == (1, 1)
        await pilot.press("m")
        assert (browser.choice.mode, browser.choice.level) == ("mean", "head")
        await pilot.press("m")
        await until(pilot, lambda: "(approximation)" in screen(app))
        await pilot.press("m", "w", "home", "right", "right")
        assert (browser.choice.level, browser.choice.incoming) == ("text", True)
        assert browser.choice.query == 2
        await until(pilot, lambda: "is looked at most by" in screen(app))

    drive(out, on_tab(body))  # type: ignore[arg-type]


def test_files(out: Path, tmp_path: Path) -> None:
    async def save(app: LabApp, pilot: "Pilot[int]", down: int, path: Path) -> None:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press(*["down"] * down, "enter")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        app.screen.query_one("Input").value = str(path)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, path.exists)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        (tmp_path / "some.txt").write_text("a face Ü")
        await until(pilot, lambda: settled(app))
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        app.screen.query_one("Input").value = str(tmp_path / "some.txt")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: app.attention.controller.text == "a face " and settled(app))
        assert "left out" in app.attention.controller.words
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


# -- the browser alone -----------------------------------------------------------------------------


class Engine:
    """Holds what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.numbers = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def looks(self) -> list[InspectRequest]:
        return [asked for asked in self.asked if isinstance(asked, InspectRequest)]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def browser(engine: Engine, tmp_path: Path) -> AttentionController:
    made = AttentionController(engine.asked.append, engine.number)
    made.open(tmp_path / "run")
    made.checkpoints({"dense": [0, 8, 64, 700], "moe": [0, 9, 70]})
    return made


def answer(browser: AttentionController, engine: Engine, **how: int) -> None:
    """The look that was asked for last."""
    asked = engine.looks()[-1]
    assert browser.take(looked(asked.job, asked.path, asked.text, start=asked.start or 0, **how))


def test_one_look_is_on_its_way_and_the_last_wish_wins(
    browser: AttentionController, engine: Engine
) -> None:
    browser.give("abcdefgh", "typed")
    for _ in range(3):
        browser.timeline(-1)
    assert len(engine.looks()) == 1
    assert browser.busy
    answer(browser, engine)
    assert browser.shown is None
    assert engine.looks()[-1].path.endswith("step-00000000")
    answer(browser, engine)
    assert not browser.busy
    assert browser.shown is not None
    assert browser.shown.step == 0
    browser.to_step(None)
    assert len(engine.looks()) == 2  # it was kept
    assert browser.shown.step == 700


def test_the_newest_is_followed_until_a_step_is_chosen(
    browser: AttentionController, engine: Engine
) -> None:
    browser.give("abcdefgh", "typed")
    answer(browser, engine)
    browser.checkpoints({"dense": [0, 8, 64, 700, 990]})
    browser.look()
    assert engine.looks()[-1].path.endswith("00000990")
    answer(browser, engine)
    browser.timeline(-1)
    browser.checkpoints({"dense": [0, 700, 990, 999]})
    browser.look()
    assert browser.shown is not None
    assert browser.shown.step == 700
    assert not browser.busy


def test_a_failure_keeps_the_map_and_is_not_asked_again(
    browser: AttentionController, engine: Engine
) -> None:
    browser.give("abcdefgh", "typed")
    answer(browser, engine)
    browser.timeline(-1)
    assert browser.take(Failed(engine.looks()[-1].job, "there is no checkpoint any more"))
    assert not browser.busy
    assert browser.scene().words == "there is no checkpoint any more"
    assert browser.shown is not None
    asked = len(engine.looks())
    browser.look()
    assert len(engine.looks()) == asked
    assert not browser.take(Failed(99, "of another tab"))


def test_the_cursor_of_generate_is_in_the_window(
    browser: AttentionController, engine: Engine
) -> None:
    text = "abcdefgh" * 5
    browser.give(text, "Generate", 30)
    answer(browser, engine)
    assert browser.shown is None or browser.shown.start <= 30
    if browser.busy:
        answer(browser, engine)
    assert browser.shown is not None
    assert browser.shown.start + browser.choice.query == 30
    assert browser.shown.texts[browser.choice.query] == text[30]


def test_a_line_of_the_corpus_does_not_replace_a_text_that_was_chosen(
    browser: AttentionController, engine: Engine
) -> None:
    browser.begin("ROMEO:")
    pick = next(asked for asked in engine.asked if isinstance(asked, CorpusLineRequest))
    assert browser.text == "ROMEO:"
    browser.give("typed by hand", "typed")
    assert browser.take(CorpusLine(pick.job, "a line of the corpus, long enough to be shown"))
    assert browser.text == "typed by hand"


def test_short_lines_of_the_corpus_are_passed_over(
    browser: AttentionController, engine: Engine
) -> None:
    browser.corpus()
    for _ in range(3):
        picks = [asked for asked in engine.asked if isinstance(asked, CorpusLineRequest)]
        browser.take(CorpusLine(picks[-1].job, "short"))
    assert len([asked for asked in engine.asked if isinstance(asked, CorpusLineRequest)]) == 4
    browser.take(CorpusLine(engine.numbers, "a line that is long enough to be looked at"))
    assert browser.text.startswith("a line")


def test_a_survey_adds_its_statistics(browser: AttentionController, engine: Engine) -> None:
    browser.give("abcdefgh", "typed")
    answer(browser, engine)
    browser.next_statistic()
    browser.ask_survey()
    browser.ask_survey()  # the first is on its way
    (asked,) = [asked for asked in engine.asked if isinstance(asked, SurveyRequest)]
    table = np.arange(LAYERS * HEADS, dtype=np.float32).reshape(LAYERS, HEADS) / 7
    browser.take(
        SurveyResult(
            job=asked.job,
            path=asked.path,
            step=700,
            tokens=999,
            corpus="some",
            statistics={"entropy": table, "induction": table},
            uniform_baseline={"induction": 0.01},
            vocabulary=(),
            expert_counts=None,
            top1_probability=(),
            agreement=(),
            examples={},
        )
    )
    scene = browser.scene()
    assert scene.choice.statistic == "induction"
    assert scene.statistics["induction"][2, 1] == pytest.approx(5 / 7)
    assert scene.statistics["entropy"][2, 1] == pytest.approx(5 / 11)  # of this text
    browser.timeline(-1)
    answer(browser, engine)
    assert "induction" not in browser.scene().statistics
    assert browser.scene().choice.statistic in browser.scene().statistics


def test_reasons_for_nothing(engine: Engine, tmp_path: Path) -> None:
    browser = AttentionController(engine.asked.append, engine.number)
    assert "There is no run" in browser.scene().words
    browser.open(tmp_path)
    assert "no checkpoint yet" in browser.scene().words
    browser.checkpoints({"moe": [3]})
    assert browser.variant == "moe"
    assert "no text" in browser.scene().words
    assert not browser.other_variant()
    assert not browser.timeline(1)
    assert not browser.page(1)
    assert not browser.give("", "file")
