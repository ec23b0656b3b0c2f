"""The Experts tab's controller, without an engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.helpers.listed import listed
from tests.helpers.records import lockstep, routed, sample, started
from tests.helpers.routed import (
    LAYERS,
    STEPS,
    TEXT,
    VOCABULARY,
    ablation_reply,
    inspect_reply,
    survey_reply,
)
from tinygpt_tui.engine.protocol import (
    AblationRequest,
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    InspectResult,
    Request,
    SurveyRequest,
)
from tinygpt_tui.experts.controller import CORPUS_LINES, ExpertsController
from tinygpt_tui.monitor.history import History


class Harness:
    """A controller whose requests are recorded, and answered by `answer` alone."""

    def __init__(self, *, steps: tuple[int, ...] = STEPS, run: Path = Path("run")) -> None:
        self.asked: list[Request] = []
        self._jobs = iter(range(1, 1000))
        self.controller = ExpertsController(self.asked.append, lambda: next(self._jobs))
        self.controller.open(run)
        self.controller.update_checkpoints({"moe": listed(*steps)})

    def last(self, kind: type) -> object:
        return [request for request in self.asked if isinstance(request, kind)][-1]

    def count(self, kind: type) -> int:
        return sum(isinstance(request, kind) for request in self.asked)

    def answer(self, text: str = TEXT) -> None:
        """Answer the last inspection."""
        asked = self.last(InspectRequest)
        assert isinstance(asked, InspectRequest)
        reply = inspect_reply(asked.job, step=int(asked.path[-8:]), text=text)
        self.controller.handle_reply(reply)


def test_nothing_is_requested_before_the_tab_is_shown() -> None:
    harness = Harness()
    assert harness.asked == []
    harness.controller.activate("")
    assert harness.count(CorpusLineRequest) == CORPUS_LINES
    assert harness.count(SurveyRequest) == 1
    for asked, line in zip(
        [a for a in harness.asked if isinstance(a, CorpusLineRequest)], "abd", strict=True
    ):
        harness.controller.handle_reply(CorpusLine(asked.job, line * 3))
    assert harness.last(InspectRequest) == InspectRequest(
        5, "run/moe/step-00000100", "aaa\nbbb\nddd", 0
    )
    assert harness.controller.state.inspecting
    harness.answer()
    assert harness.controller.state.routed_text is not None
    assert not harness.controller.state.inspecting


def test_the_text_of_the_generate_tab_comes_first() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    assert harness.count(CorpusLineRequest) == 0
    assert harness.last(InspectRequest) == InspectRequest(1, "run/moe/step-00000100", "abc", 0)


def test_without_a_corpus_the_latest_sample_is_the_text() -> None:
    harness = Harness()
    history = History()
    history.add([started(), sample("moe", 7)])
    harness.controller.update_history(history)
    harness.controller.activate("")
    asked = harness.last(CorpusLineRequest)
    assert isinstance(asked, CorpusLineRequest)
    harness.controller.handle_reply(Failed(asked.job, "no network"))
    assert "no network" in harness.controller.state.note
    inspection = harness.last(InspectRequest)
    assert isinstance(inspection, InspectRequest)
    assert inspection.text == "moe at 7"


def test_a_burst_through_the_timeline_only_requests_its_last_checkpoint() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    harness.answer()
    before = harness.controller.state.routed_text
    for _ in range(3):
        harness.controller.move_step(-1)
    assert harness.count(InspectRequest) == 2
    assert harness.controller.state.routed_text is before, "the old text stays"
    harness.answer()
    assert harness.count(InspectRequest) == 3
    harness.answer()
    assert harness.controller.state.at == 7
    assert harness.controller.state.routed_text is not None
    assert harness.controller.state.routed_text.step == 7
    asked = harness.count(InspectRequest)
    harness.controller.show_checkpoint("newest")
    assert harness.controller.state.routed_text is before
    assert harness.count(InspectRequest) == asked, "the answer was cached"


def test_playing_waits_for_each_checkpoint_and_ends_at_the_latest() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    harness.answer()
    harness.controller.play()
    assert harness.controller.state.at == 0
    assert not harness.controller.tick()
    seen = [0]
    while harness.controller.state.timeline.playing:
        harness.answer()
        assert harness.controller.tick()
        seen.append(harness.controller.state.at or 0)
    assert tuple(seen) == STEPS
    assert harness.controller.state.timeline.name == "best"


def test_the_latest_checkpoint_is_followed_unless_another_was_chosen() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    harness.controller.update_checkpoints({"moe": listed(0, 100, 130)})
    assert harness.controller.state.at == 130
    harness.controller.move_step(-1)
    harness.controller.update_checkpoints({"moe": listed(0, 90, 160)})
    assert harness.controller.state.at == 90, "pruned: the nearest one is shown"


def test_the_best_is_shown_and_a_key_switches_to_the_newest() -> None:
    harness = Harness()
    controller = harness.controller
    controller.update_checkpoints({"moe": listed(*STEPS, best=20)})
    controller.activate("abc")
    assert controller.state.at == 20
    controller.toggle_best()
    assert (controller.state.at, controller.state.timeline.name) == (100, "newest")
    controller.move_step(-1)
    assert (controller.state.at, controller.state.timeline.name) == (45, None)
    controller.toggle_best()
    assert (controller.state.at, controller.state.timeline.name) == (20, "best")
    controller.show_checkpoint("newest")
    assert controller.state.at == 100


def test_a_damaged_newest_is_no_reference() -> None:
    harness = Harness()
    controller = harness.controller
    controller.update_checkpoints({"moe": listed(*STEPS, best=20)})
    controller.activate("abc")
    survey = harness.last(SurveyRequest)
    assert isinstance(survey, SurveyRequest)
    assert (survey.path[-8:], survey.final[-8:]) == ("00000020", "00000100")
    controller.handle_reply(Failed(survey.job, "torn", unusable=survey.final))
    survey = harness.last(SurveyRequest)
    assert isinstance(survey, SurveyRequest)
    assert (survey.path[-8:], survey.final[-8:]) == ("00000020", "00000045")
    inspection = harness.last(InspectRequest)
    assert isinstance(inspection, InspectRequest)
    controller.handle_reply(Failed(inspection.job, "torn", unusable=inspection.path))
    assert controller.state.at == 7, "the next best"
    assert controller.take_note() == "MoE: step 20 cannot be used, so step 7 stands in: torn"


def test_the_window_follows_the_cursor() -> None:
    harness = Harness()
    harness.controller.activate(TEXT + "x" * 11)
    harness.answer()
    harness.controller.move(1_000_000)
    asked = harness.last(InspectRequest)
    assert isinstance(asked, InspectRequest)
    assert asked.start == 11
    found = inspect_reply(asked.job)
    harness.controller.handle_reply(
        InspectResult(**{**{f: getattr(found, f) for f in found.__struct_fields__}, "start": 11})
    )
    assert harness.controller.state.cursor == len(TEXT) - 1
    harness.controller.move(-1)
    assert harness.controller.state.cursor == len(TEXT) - 2


def test_a_failed_inspection_keeps_the_text_and_is_retried_when_the_tab_is_shown() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    harness.answer()
    harness.controller.move_step(-1)
    asked = harness.last(InspectRequest)
    assert isinstance(asked, InspectRequest)
    harness.controller.handle_reply(Failed(asked.job, "the file is gone"))
    assert "the file is gone" in harness.controller.state.inspect_problem
    assert harness.controller.state.routed_text is not None
    before = harness.count(InspectRequest)
    harness.controller.refresh()
    assert harness.count(InspectRequest) == before
    harness.controller.activate("")
    assert harness.count(InspectRequest) == before + 1


def test_the_loss_without_each_expert_is_of_the_selected_checkpoint() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    assert harness.count(AblationRequest) == 0
    harness.controller.request_ablations()
    asked = harness.last(AblationRequest)
    assert isinstance(asked, AblationRequest)
    assert asked.path == "run/moe/step-00000100"
    assert harness.controller.state.ablating
    rises = np.array([[0.1, 0.2, 0.3, -0.1]] * 2)
    reply = ablation_reply(asked.job, asked.path, np.zeros((2, 3)), rises)
    assert harness.controller.handle_reply(reply)
    assert harness.controller.state.ablations is reply
    assert not harness.controller.state.ablating
    harness.controller.move_step(-1)
    assert harness.controller.state.ablations is None
    harness.controller.request_ablations()
    again = harness.last(AblationRequest)
    assert isinstance(again, AblationRequest)
    harness.controller.handle_reply(Failed(again.job, "no text"))
    assert (
        harness.controller.state.ablation_problem
        == "The loss without each part cannot be measured: no text"
    )


def test_a_survey_is_compared_with_the_latest_checkpoint() -> None:
    harness = Harness()
    harness.controller.activate("abc")
    harness.controller.move_step(-2)
    first = harness.last(SurveyRequest)
    assert isinstance(first, SurveyRequest)
    assert first.final == first.path == "run/moe/step-00000100"
    harness.controller.handle_reply(survey_reply(first.job, step=100))
    second = harness.last(SurveyRequest)
    assert isinstance(second, SurveyRequest)
    assert (second.path[-8:], second.final[-8:]) == ("00000020", "00000100")


def test_a_dense_run_and_no_run_say_so() -> None:
    harness = Harness(steps=())
    history = History()
    harness.controller.update_history(history)
    assert "first record" in harness.controller.state.empty_reason
    history.add([replace(started(), models={"dense": {}})])
    harness.controller.update_history(history)
    assert "only Dense" in harness.controller.state.empty_reason
    harness.controller.open(None)
    assert "No run yet" in harness.controller.state.empty_reason
    history.add([*lockstep(7), routed(5)])
    harness.controller.open(Path("run"))
    assert harness.controller.update_history(history)
    assert harness.controller.state.empty_reason == ""
    assert not harness.controller.update_history(history), "nothing changed"


def test_keys_of_the_table() -> None:
    harness = Harness()
    controller = harness.controller
    controller.activate("abc")
    controller.handle_reply(survey_reply(2, step=100))
    assert controller.state.survey is not None
    controller.next_expert()
    controller.scroll(100, 5)
    assert (controller.state.sorting.expert, controller.state.sorting.top) == (
        1,
        len(VOCABULARY) - 6,
    )
    controller.next_order()
    assert (controller.state.sorting.order, controller.state.sorting.top) == ("count", 0)
    controller.toggle_classes()
    assert controller.state.sorting.classes
    controller.move_layer(100)
    assert controller.state.layer == LAYERS - 1
    views = []
    for _ in range(3):
        controller.next_view(joined=False)
        views.append(controller.state.view)
    assert views == ["text", "table", "load"]
    controller.next_view(joined=True)
    assert controller.state.view == "table"
