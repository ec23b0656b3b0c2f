"""The Experts tab at every size and in every state: snapshots, numbers, and what the desk asks."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.records import lockstep, routed, sample, started
from tests.helpers.routed import LAYERS, STEPS, TEXT, VOCABULARY, experts_state, looked, surveyed
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    InspectResult,
    Request,
    SurveyRequest,
)
from tinygpt_tui.experts.controller import PICKED, ExpertsController
from tinygpt_tui.experts.state import VIEWS
from tinygpt_tui.experts.view import tab
from tinygpt_tui.monitor.history import History
from tinygpt_tui.render.cells import plain, width


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
@pytest.mark.parametrize("view", VIEWS)
def test_snapshot_of_each_view(view: str, size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = experts_state(view=view, digits=plain_glyphs)
    rows = tab(shown, size[0], size[1] - 2)
    name = f"experts-{view}-{size[0]}x{size[1]}{'-ascii' if plain_glyphs else ''}"
    snapshots.check(name, snapshots.as_ascii(rows) if plain_glyphs else rows)


@given(
    st.sampled_from(VIEWS),
    st.tuples(st.integers(20, 160), st.integers(3, 50)),
    st.booleans(),
    st.booleans(),
    st.integers(0, LAYERS - 1),
)
def test_every_size_is_filled_exactly(
    view: str,
    size: tuple[int, int],
    digits: bool,  # noqa: FBT001
    empty: bool,  # noqa: FBT001
    layer: int,
) -> None:
    columns, lines = size
    shown = experts_state(view=view, digits=digits, layer=layer)
    if empty:
        shown = replace(shown, reading=None, census=None, routings=(), look_problem="no é here")
    rows = tab(shown, columns, lines)
    assert len(rows) == lines
    assert {width(cells) for cells in rows} == {columns}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nothing": "This run trains Dense alone."}, "Dense alone"),
        ({"routings": ()}, "appears after the first evaluation"),
        ({"steps": (), "at": None, "reading": None, "census": None}, "No checkpoint yet"),
        ({"looking": True}, "routing the text..."),
        ({"surveying": True, "census": None}, "computing statistics..."),
        ({"view": "table", "surveying": True, "census": None}, "The table appears when"),
        ({"view": "text", "reading": None}, "t: type a text"),
        ({"view": "text", "look_problem": "the engine ended"}, "the engine ended"),
        ({"view": "table", "survey_problem": "no corpus"}, "no corpus"),
        ({"view": "text", "at": 100}, "from step 45"),
        ({"at": 100, "surveying": True}, "table from step 45  computing statistics..."),
        ({"note": "not in the vocabulary: é"}, "not in the vocabulary"),
    ],
)
def test_what_is_missing_is_said_in_place(changes: dict[str, object], says: str) -> None:
    for size in ((80, 22), (120, 34)):
        assert says in "\n".join(plain(tab(experts_state(**changes), *size)))


def test_nothing_else_is_shown_of_a_dense_run() -> None:
    rows = plain(tab(experts_state(nothing="This run trains Dense alone."), 80, 22))
    assert [line.strip() for line in rows if line.strip()] == ["This run trains Dense alone."]


# -- the desk --------------------------------------------------------------------------------------


class Office:
    """A desk whose questions go nowhere."""

    def __init__(self, *, steps: tuple[int, ...] = STEPS, run: Path = Path("run")) -> None:
        self.asked: list[Request] = []
        self._jobs = iter(range(1, 1000))
        self.desk = ExpertsController(self.asked.append, lambda: next(self._jobs))
        self.desk.open(run)
        self.desk.checkpoints(steps)

    def last(self, kind: type) -> object:
        return [request for request in self.asked if isinstance(request, kind)][-1]

    def count(self, kind: type) -> int:
        return sum(isinstance(request, kind) for request in self.asked)

    def answer(self, text: str = TEXT) -> None:
        """To the newest look, from the checkpoint it asked for."""
        asked = self.last(InspectRequest)
        assert isinstance(asked, InspectRequest)
        reply = looked(asked.job, step=int(asked.path[-8:]), text=text)
        self.desk.take(reply)


def test_nothing_is_asked_before_the_tab_is_shown() -> None:
    office = Office()
    assert office.asked == []
    office.desk.wake("")
    assert office.count(CorpusLineRequest) == PICKED
    assert office.count(SurveyRequest) == 1
    for asked, line in zip(
        [a for a in office.asked if isinstance(a, CorpusLineRequest)], "abd", strict=True
    ):
        office.desk.take(CorpusLine(asked.job, line * 3))
    assert office.last(InspectRequest) == InspectRequest(
        5, "run/moe/step-00000100", "aaa\nbbb\nddd", 0
    )
    assert office.desk.scene.looking
    office.answer()
    assert office.desk.scene.reading is not None
    assert not office.desk.scene.looking


def test_the_text_of_the_generate_tab_comes_first() -> None:
    office = Office()
    office.desk.wake("abc")
    assert office.count(CorpusLineRequest) == 0
    assert office.last(InspectRequest) == InspectRequest(1, "run/moe/step-00000100", "abc", 0)


def test_without_a_corpus_the_model_reads_its_own_sample() -> None:
    office = Office()
    history = History()
    history.add([started(), sample("moe", 7)])
    office.desk.news(history)
    office.desk.wake("")
    asked = office.last(CorpusLineRequest)
    assert isinstance(asked, CorpusLineRequest)
    office.desk.take(Failed(asked.job, "no network"))
    assert "no network" in office.desk.scene.note
    assert isinstance(look := office.last(InspectRequest), InspectRequest)
    assert look.text == "moe at 7"


def test_a_burst_through_the_timeline_asks_for_its_end_alone() -> None:
    office = Office()
    office.desk.wake("abc")
    office.answer()
    before = office.desk.scene.reading
    for _ in range(3):
        office.desk.move_step(-1)
    assert office.count(InspectRequest) == 2
    assert office.desk.scene.reading is before, "the old picture stays"
    office.answer()
    assert office.count(InspectRequest) == 3
    office.answer()
    assert office.desk.scene.at == 7
    assert office.desk.scene.reading is not None
    assert office.desk.scene.reading.step == 7
    asked = office.count(InspectRequest)
    office.desk.follow()
    assert office.desk.scene.reading is before
    assert office.count(InspectRequest) == asked, "what was answered is not asked again"


def test_play_waits_for_each_frame_and_ends_at_the_newest() -> None:
    office = Office()
    office.desk.wake("abc")
    office.answer()
    office.desk.play()
    assert office.desk.scene.at == 0
    assert not office.desk.tick()
    seen = [0]
    while office.desk.scene.playing:
        office.answer()
        assert office.desk.tick()
        seen.append(office.desk.scene.at or 0)
    assert tuple(seen) == STEPS
    assert office.desk.scene.following


def test_the_newest_is_followed_unless_another_was_chosen() -> None:
    office = Office()
    office.desk.wake("abc")
    office.desk.checkpoints((0, 100, 130))
    assert office.desk.scene.at == 130
    office.desk.move_step(-1)
    office.desk.checkpoints((0, 90, 160))
    assert office.desk.scene.at == 90, "pruned: the nearest"


def test_the_cursor_takes_the_window_along() -> None:
    office = Office()
    office.desk.wake(TEXT + "x" * 11)
    office.answer()
    office.desk.move(1_000_000)
    asked = office.last(InspectRequest)
    assert isinstance(asked, InspectRequest)
    assert asked.start == 11
    found = looked(asked.job)
    office.desk.take(
        InspectResult(**{**{f: getattr(found, f) for f in found.__struct_fields__}, "start": 11})
    )
    assert office.desk.scene.cursor == len(TEXT) - 1
    office.desk.move(-1)
    assert office.desk.scene.cursor == len(TEXT) - 2


def test_a_failed_look_keeps_what_was_there_and_is_tried_again_when_the_tab_is_shown() -> None:
    office = Office()
    office.desk.wake("abc")
    office.answer()
    office.desk.move_step(-1)
    asked = office.last(InspectRequest)
    assert isinstance(asked, InspectRequest)
    office.desk.take(Failed(asked.job, "the file is gone"))
    assert "the file is gone" in office.desk.scene.look_problem
    assert office.desk.scene.reading is not None
    before = office.count(InspectRequest)
    office.desk.refresh()
    assert office.count(InspectRequest) == before
    office.desk.wake("")
    assert office.count(InspectRequest) == before + 1


def test_a_survey_is_compared_with_the_newest_checkpoint() -> None:
    office = Office()
    office.desk.wake("abc")
    office.desk.move_step(-2)
    first = office.last(SurveyRequest)
    assert isinstance(first, SurveyRequest)
    assert first.final == first.path == "run/moe/step-00000100"
    office.desk.take(surveyed(first.job, step=100))
    second = office.last(SurveyRequest)
    assert isinstance(second, SurveyRequest)
    assert (second.path[-8:], second.final[-8:]) == ("00000020", "00000100")


def test_a_dense_run_and_no_run_say_so() -> None:
    office = Office(steps=())
    history = History()
    office.desk.news(history)
    assert "first record" in office.desk.scene.nothing
    history.add([replace(started(), models={"dense": {}})])
    office.desk.news(history)
    assert "Dense alone" in office.desk.scene.nothing
    office.desk.open(None)
    assert "No run yet" in office.desk.scene.nothing
    history.add([*lockstep(7), routed(5)])
    office.desk.open(Path("run"))
    assert office.desk.news(history)
    assert office.desk.scene.nothing == ""
    assert not office.desk.news(history), "nothing new, nothing drawn"


def test_keys_of_the_table() -> None:
    office = Office()
    desk = office.desk
    desk.wake("abc")
    desk.take(surveyed(2, step=100))
    assert desk.scene.census is not None
    desk.next_expert()
    desk.scroll(100, 5)
    assert (desk.scene.sorting.expert, desk.scene.sorting.top) == (1, len(VOCABULARY) - 6)
    desk.next_order()
    assert (desk.scene.sorting.order, desk.scene.sorting.top) == ("count", 0)
    desk.toggle_classes()
    assert desk.scene.sorting.classes
    desk.move_layer(100)
    assert desk.scene.layer == LAYERS - 1
    views = []
    for _ in range(3):
        desk.next_view(joined=False)
        views.append(desk.scene.view)
    assert views == ["text", "table", "load"]
    desk.next_view(joined=True)
    assert desk.scene.view == "table"
