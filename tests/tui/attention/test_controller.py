"""The Attention tab's controller, with a stand-in for the engine."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.listed import listed
from tests.helpers.looks import HEADS, LAYERS, inspect_result
from tests.helpers.routed import ablation_reply
from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.attention.readout import number
from tinygpt_tui.engine.protocol import (
    AblationRequest,
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    Request,
    SurveyRequest,
    SurveyResult,
)


class Engine:
    """Holds what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.numbers = 0

    def new_job(self) -> int:
        self.numbers += 1
        return self.numbers

    def inspections(self) -> list[InspectRequest]:
        return [asked for asked in self.asked if isinstance(asked, InspectRequest)]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def controller(engine: Engine, tmp_path: Path) -> AttentionController:
    made = AttentionController(engine.asked.append, engine.new_job)
    made.open(tmp_path / "run")
    made.update_checkpoints({"dense": listed(0, 8, 64, 700), "moe": listed(0, 9, 70)})
    return made


def answer(controller: AttentionController, engine: Engine, **how: int) -> None:
    """Answer the last inspection."""
    asked = engine.inspections()[-1]
    assert controller.handle_reply(
        inspect_result(
            asked.job,
            asked.path,
            asked.text,
            start=asked.start or 0,
            character=asked.character,
            **how,
        )
    )


def test_one_inspection_is_pending_and_the_last_one_wanted_wins(
    controller: AttentionController, engine: Engine
) -> None:
    controller.set_text("abcdefgh", "typed")
    for _ in range(3):
        controller.move_step(-1)
    assert len(engine.inspections()) == 1
    assert controller.busy
    answer(controller, engine)
    assert controller.shown is None
    assert engine.inspections()[-1].path.endswith("step-00000000")
    answer(controller, engine)
    assert not controller.busy
    assert controller.shown is not None
    assert controller.shown.step == 0
    controller.show_checkpoint(None)
    assert len(engine.inspections()) == 2  # it was kept
    assert controller.shown.step == 700


def test_the_newest_is_followed_until_a_step_is_chosen(
    controller: AttentionController, engine: Engine
) -> None:
    controller.set_text("abcdefgh", "typed")
    answer(controller, engine)
    controller.update_checkpoints({"dense": listed(0, 8, 64, 700, 990)})
    controller.refresh()
    assert engine.inspections()[-1].path.endswith("00000990")
    answer(controller, engine)
    controller.move_step(-1)
    controller.update_checkpoints({"dense": listed(0, 700, 990, 999)})
    controller.refresh()
    assert controller.shown is not None
    assert controller.shown.step == 700
    assert not controller.busy


def test_the_best_of_an_ended_run_is_shown_and_the_newest_is_a_key_away(
    controller: AttentionController, engine: Engine
) -> None:
    ended = {"dense": listed(0, 8, 64, 700, best=64), "moe": listed(0, 9, 70, best=9)}
    controller.update_checkpoints(ended)
    controller.set_text("abcdefgh", "typed")
    steps = []
    for change in (controller.refresh, controller.toggle_best, controller.toggle_best):
        change()
        if controller.busy:
            answer(controller, engine)
        assert controller.shown is not None
        steps.append(controller.shown.step)
    assert steps == [64, 700, 64]
    controller.switch_variant()
    answer(controller, engine)
    assert controller.shown is not None
    assert controller.shown.step == 9, "each model has its own best"


def test_a_damaged_best_is_left_out(controller: AttentionController, engine: Engine) -> None:
    controller.update_checkpoints({"dense": listed(0, 8, 64, 700, best=64)})
    controller.set_text("abcdefgh", "typed")
    asked = engine.inspections()[-1]
    assert controller.handle_reply(Failed(asked.job, "torn", unusable=asked.path))
    answer(controller, engine)
    assert controller.shown is not None
    assert (controller.shown.step, controller.timeline.name) == (8, "best")
    assert controller.state().message == ""
    assert controller.take_note() == "Dense: step 64 cannot be used, so step 8 stands in: torn"
    controller.show_checkpoint(64)
    assert (controller.take_note(), controller.timeline.step) == ("", 64)


def test_a_failure_keeps_the_map_and_is_not_asked_again(
    controller: AttentionController, engine: Engine
) -> None:
    controller.set_text("abcdefgh", "typed")
    answer(controller, engine)
    controller.move_step(-1)
    assert controller.handle_reply(Failed(engine.inspections()[-1].job, "the checkpoint is gone"))
    assert not controller.busy
    assert controller.state().message == "the checkpoint is gone"
    assert controller.shown is not None
    asked = len(engine.inspections())
    controller.refresh()
    assert len(engine.inspections()) == asked
    assert not controller.handle_reply(Failed(99, "of another tab"))


def test_the_cursor_of_generate_is_in_the_window(
    controller: AttentionController, engine: Engine
) -> None:
    text = "abcdefgh" * 5
    controller.set_text(text, "Generate", 30)
    answer(controller, engine)
    assert controller.shown is None or controller.shown.start <= 30
    if controller.busy:
        answer(controller, engine)
    assert controller.shown is not None
    assert controller.shown.start + controller.choice.query == 30
    assert controller.shown.texts[controller.choice.query] == text[30]


def test_a_line_of_the_corpus_does_not_replace_a_text_that_was_chosen(
    controller: AttentionController, engine: Engine
) -> None:
    controller.set_default_text("ROMEO:")
    pick = next(asked for asked in engine.asked if isinstance(asked, CorpusLineRequest))
    controller.set_text("typed by hand", "typed")
    assert controller.handle_reply(
        CorpusLine(pick.job, "a line of the corpus, long enough to be shown")
    )
    assert controller.text == "typed by hand"


def test_the_first_text_is_a_fixed_line_and_the_prompt_without_a_corpus(
    controller: AttentionController, engine: Engine
) -> None:
    for _ in range(2):
        controller.set_default_text("ROMEO:")
    (pick,) = (asked for asked in engine.asked if isinstance(asked, CorpusLineRequest))
    assert pick.which == "line"
    controller.handle_reply(Failed(pick.job, "there is no corpus"))
    assert (controller.text, controller.source) == ("ROMEO:", "last prompt")
    controller.text = ""
    controller.set_default_text("ROMEO:")
    pick = [asked for asked in engine.asked if isinstance(asked, CorpusLineRequest)][-1]
    controller.handle_reply(CorpusLine(pick.job, "short"))
    assert (controller.text, controller.source) == ("short", "validation")


def test_short_lines_of_the_corpus_are_passed_over(
    controller: AttentionController, engine: Engine
) -> None:
    controller.random_line()
    for _ in range(3):
        picks = [asked for asked in engine.asked if isinstance(asked, CorpusLineRequest)]
        controller.handle_reply(CorpusLine(picks[-1].job, "short"))
    assert len([asked for asked in engine.asked if isinstance(asked, CorpusLineRequest)]) == 4
    controller.handle_reply(
        CorpusLine(engine.numbers, "a line that is long enough to be looked at")
    )
    assert controller.text.startswith("a line")


def test_the_loss_without_each_head_is_a_statistic_of_its_checkpoint(
    controller: AttentionController, engine: Engine
) -> None:
    controller.set_text("abcdefgh", "typed")
    answer(controller, engine)
    controller.request_ablations()
    controller.request_ablations()  # the first is pending
    (asked,) = [asked for asked in engine.asked if isinstance(asked, AblationRequest)]
    assert controller.state().message == "Measuring the loss without each head…"
    rises = np.arange(LAYERS * HEADS).reshape(LAYERS, HEADS) / 100 - 0.01
    controller.handle_reply(ablation_reply(asked.job, asked.path, rises))
    state = controller.state()
    assert (state.statistic, state.message) == ("without", "")
    shown = [number("without", value) for value in state.statistics["without"].flatten()[:3]]
    assert shown == ["-0.010", "+0.000", "+0.010"]
    controller.move_step(-1)
    answer(controller, engine)
    assert "without" not in controller.state().statistics
    controller.request_ablations()
    other = engine.asked[-1]
    assert isinstance(other, AblationRequest)
    assert other.path != asked.path
    controller.handle_reply(Failed(other.job, "no text"))
    assert controller.state().message == "The loss without each part cannot be measured: no text"
    controller.request_ablations()
    assert isinstance(engine.asked[-1], AblationRequest)
    assert engine.asked[-1] != other, "a failed request may be repeated"


def test_a_survey_adds_its_statistics(controller: AttentionController, engine: Engine) -> None:
    controller.set_text("abcdefgh", "typed")
    answer(controller, engine)
    controller.next_statistic()
    controller.request_survey()
    controller.request_survey()  # the first is pending
    (asked,) = [asked for asked in engine.asked if isinstance(asked, SurveyRequest)]
    table = np.arange(LAYERS * HEADS, dtype=np.float32).reshape(LAYERS, HEADS) / np.float32(7)
    controller.handle_reply(
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
    state = controller.state()
    assert state.statistic == "induction"
    assert state.statistics["induction"][2, 1] == pytest.approx(5 / 7)
    assert state.statistics["entropy"][2, 1] == pytest.approx(5 / 11)  # of this text
    controller.move_step(-1)
    answer(controller, engine)
    assert "induction" not in controller.state().statistics
    assert controller.state().statistic in controller.state().statistics


def test_reasons_for_nothing(engine: Engine, tmp_path: Path) -> None:
    controller = AttentionController(engine.asked.append, engine.new_job)
    assert "No run yet" in controller.state().message
    controller.open(tmp_path)
    assert "No checkpoint yet" in controller.state().message
    controller.update_checkpoints({"moe": listed(3)})
    assert controller.variant == "moe"
    assert "no text" in controller.state().message
    assert not controller.switch_variant()
    assert not controller.move_step(1)
    assert not controller.page(1)
    assert not controller.set_text("", "file")
