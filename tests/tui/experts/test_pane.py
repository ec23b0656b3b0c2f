"""The Experts tab, driven by keys, with the real engine."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

import tinygpt
from tests.helpers.app import Body, drive, until
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.listed import listed
from tests.helpers.records import started
from tests.helpers.scenes import make_run, records
from tinygpt import checkpoint
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt_tui.app import LabApp
from tinygpt_tui.experts.controller import ExpertsController
from tinygpt_tui.experts.pane import TextField
from tinygpt_tui.render.cells import plain
from tinygpt_tui.screens.dialog import Ask
from tinygpt_tui.widgets.cell_view import CellView

STEPS = (3, 7, 11)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of both variants, untrained, and its corpus."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    out = tmp_path / "runs"
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("abcdefghijk\nbead\ncab age\n" * 100)
    make_run(out, "one").close()
    config = out / "one" / "run.toml"
    config.write_text(f'data = "{corpus}"\n' + config.read_text())
    for step in STEPS:
        checkpoint.save(out / "one", snapshot("moe", step, loss=2 - step / 20))
    save_tokenizer(TOKENIZER, out / "one" / "tokenizer.json")
    return out


def shown(app: LabApp) -> str:
    return "\n".join(plain(app.experts.query_one("#experts-view", CellView).rows))


def drawn_in(app: LabApp, columns: int) -> bool:
    return {len(row) for row in shown(app).splitlines()} == {columns}


def settled(controller: ExpertsController) -> bool:
    return controller.state.routed_text is not None and not (
        controller.state.inspecting or controller.state.surveying
    )


def on_tab(body: Callable[[LabApp, "Pilot[int]", ExpertsController], Awaitable[None]]) -> Body:
    async def go(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: len(app.experts.controller.state.steps) == len(STEPS))
        await pilot.press("4")
        await body(app, pilot, app.experts.controller)

    return go


def test_load_text_timeline_and_table(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        assert "uniform 25%" in shown(app), "the records need no engine"
        await until(pilot, lambda: settled(controller))
        assert controller.state.survey is not None
        assert controller.state.source == "random lines of the corpus"
        await pilot.press("t", *"abc", "enter")
        await until(pilot, lambda: settled(controller) and controller.text == "abc")
        found = tinygpt.load(out / "one" / "moe")
        inspection = tinygpt.inspect_tokens(found.model, found.tokenizer.encode("abc"))
        assert inspection.choice is not None
        assert controller.state.routed_text is not None
        assert controller.state.routed_text.choice.tolist() == inspection.choice[..., 0].tolist()
        await pilot.press("right", "right_curly_bracket")
        await until(
            pilot, lambda: 'Expert path of "b"' in shown(app) or controller.state.view == "load"
        )
        assert (controller.state.cursor, controller.state.layer) == (1, 1)
        await pilot.press("comma")
        await until(pilot, lambda: settled(controller) and controller.state.routed_text.step == 7)  # type: ignore[union-attr]
        assert "MoE · step 7" in shown(app)
        await pilot.press("p")
        await until(pilot, lambda: not controller.state.timeline.playing and settled(controller))
        assert controller.state.at == STEPS[-1]
        while controller.state.view != "table":
            await pilot.press("v")
        for size in ((120, 36), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "lift" in shown(app) and drawn_in(app, size[0]))  # noqa: B023

    drive(out, on_tab(body), (80, 24))


def test_the_header_says_which_checkpoint_it_is_and_keys_show_others(out: Path) -> None:
    checkpoint.save(out / "one", snapshot("moe", STEPS[1], loss=1.25))

    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        assert " MoE · best · step 7 · val 1.250 " in shown(app)
        await pilot.press("B")
        await until(pilot, lambda: settled(controller) and controller.state.at == 11)
        await until(pilot, lambda: " MoE · newest · step 11 · val 1.450 " in shown(app))
        assert "3/3 · ◆ best 7" in shown(app)
        await pilot.press("comma", "comma")
        await until(pilot, lambda: " MoE · step 3 · val 1.850 " in shown(app))
        await pilot.press("h", "home", "enter")
        await until(pilot, lambda: controller.state.timeline.step == STEPS[1])
        await pilot.resize_terminal(120, 36)
        header = " MoE · best · step 7 · val 1.250 "
        await until(pilot, lambda: drawn_in(app, 120) and header in shown(app))
        await pilot.press("h", "end", "enter")
        await until(pilot, lambda: controller.state.timeline.step == STEPS[0])
        await pilot.press("0")
        await until(pilot, lambda: controller.state.timeline.step == STEPS[-1])

    drive(out, on_tab(body), (80, 24))


def test_unknown_characters_are_dropped_unless_cancelled(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        before = controller.text
        await pilot.press("t")
        app.experts.query_one(TextField).value = "aéb"
        await until(pilot, lambda: "not in the vocabulary" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("escape")
        await until(pilot, lambda: app.focused is app.experts.query_one(TextField))
        assert controller.text == before
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("d")
        await until(pilot, lambda: controller.text == "ab" and settled(controller))
        assert app.focused is app.experts
        assert "not in the vocabulary" not in shown(app)
        await pilot.press("t")
        app.experts.query_one(TextField).value = ""
        await pilot.press("enter")
        await until(pilot, lambda: "The text is empty" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "The text is empty" not in shown(app))
        assert app.focused is app.experts
        await pilot.press("g")
        await until(pilot, lambda: "The Generate tab has no text yet" in shown(app))

    drive(out, on_tab(body))


def test_a_broken_checkpoint_is_reported_and_the_text_stays(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        (out / "one" / "moe" / "step-00000007" / "model.safetensors").write_bytes(b"no")
        before = controller.state.routed_text
        await pilot.press("comma")
        await until(
            pilot,
            lambda: bool(controller.state.inspect_problem and controller.state.survey_problem),
        )
        assert controller.state.routed_text is before
        assert "cannot be inspected" in shown(app)
        await pilot.press("full_stop")
        await until(pilot, lambda: "cannot be inspected" not in shown(app))

    drive(out, on_tab(body))


def test_a_dense_run_has_nothing_to_route(tmp_path: Path) -> None:
    dense = [record for record in records(10) if getattr(record, "model", "") == "dense"]
    first = replace(started(), models={"dense": {}})
    make_run(tmp_path, "alone", [first, *dense]).close()

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: app.history.step == 10)
        await pilot.press("4")
        await until(pilot, lambda: "nothing to route" in shown(app))
        assert app.engine.pid is None
        await pilot.press("v", "t", "p", "right", "c")
        assert shown(app).split() == app.experts.controller.state.empty_reason.split()

    drive(tmp_path, body)


def test_a_hidden_tab_sends_no_requests(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        await pilot.press("p", "1")
        await until(pilot, lambda: not controller.visible)
        assert not controller.state.timeline.playing
        asked: list[object] = []
        controller._ask = asked.append
        app.experts.update_checkpoints({"moe": listed(3, 7, 11, 13)})
        assert asked == []
        await pilot.press("4")
        await until(pilot, lambda: bool(asked))

    drive(out, on_tab(body))


def test_keys_select_an_expert_in_the_load_and_move_the_cursor_in_the_text(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        await pilot.press("e")
        assert controller.state.sorting.expert == 1
        await pilot.press("pagedown")
        assert (controller.state.sorting.expert, controller.state.cursor) == (3, 0)
        await pilot.press("e", "v", "t", *"abc\\nde", "enter")
        await until(pilot, lambda: settled(controller) and controller.text == "abc\nde")
        await pilot.press("home", "pagedown")
        assert (controller.state.sorting.expert, controller.state.cursor) == (0, 4)

    drive(out, on_tab(body), (80, 24))


def test_a_click_moves_the_cursor(out: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]", controller: ExpertsController) -> None:
        await until(pilot, lambda: settled(controller))
        await pilot.press("t", *"abcdefgh", "enter")
        await until(pilot, lambda: settled(controller) and controller.text == "abcdefgh")
        rows = shown(app).splitlines()
        view = app.experts.query_one("#experts-view", CellView)
        y = next(y for y, row in enumerate(rows) if "abcdefgh" in row)
        await pilot.click(view, offset=(rows[y].index("abcdefgh") + 4, y))
        assert controller.state.cursor == 4
        assert 'expert path of "e"' in shown(app)
        await pilot.click(view, offset=(rows[1].index(" table ") + 2, 1))
        assert controller.state.view == "table"

    drive(out, on_tab(body))
