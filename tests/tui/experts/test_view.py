"""The Experts tab at every size and in every state: snapshots, numbers, and what the desk asks."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.records import lockstep, routed, sample, started
from tests.helpers.routed import LAYERS, STEPS, TEXT, VOCABULARY, looked, scene, surveyed
from tinygpt.analysis import routing
from tinygpt_tui.engine import results
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    InspectResult,
    Request,
    SurveyRequest,
)
from tinygpt_tui.experts import lift_table, load_chart
from tinygpt_tui.experts.controller import PICKED, ExpertsController
from tinygpt_tui.experts.lift_table import Sorting
from tinygpt_tui.experts.view import VIEWS, tab
from tinygpt_tui.monitor.history import History
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.timeline import slider


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
@pytest.mark.parametrize("view", VIEWS)
def test_snapshot_of_each_view(view: str, size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = scene(view=view, digits=plain_glyphs)
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
    shown = scene(view=view, digits=digits, layer=layer)
    if empty:
        shown = replace(shown, reading=None, census=None, routings=(), look_problem="no é here")
    rows = tab(shown, columns, lines)
    assert len(rows) == lines
    assert {width(cells) for cells in rows} == {columns}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nothing": "This run trains Dense alone."}, "Dense alone"),
        ({"routings": ()}, "comes with the first evaluation"),
        ({"steps": (), "at": None, "reading": None, "census": None}, "no checkpoint yet"),
        ({"looking": True}, "looking..."),
        ({"surveying": True, "census": None}, "surveying..."),
        ({"view": "table", "surveying": True, "census": None}, "The table comes as soon as"),
        ({"view": "text", "reading": None}, "t types a text"),
        ({"view": "text", "look_problem": "the engine ended"}, "the engine ended"),
        ({"view": "table", "survey_problem": "no corpus"}, "no corpus"),
        ({"view": "text", "at": 100}, "still of step 45"),
        ({"at": 100, "surveying": True}, "table still of step 45  surveying..."),
        ({"note": "not in the vocabulary: é"}, "not in the vocabulary"),
    ],
)
def test_what_is_missing_is_said_in_place(changes: dict[str, object], says: str) -> None:
    for size in ((80, 22), (120, 34)):
        assert says in "\n".join(plain(tab(scene(**changes), *size)))


def test_nothing_else_is_shown_of_a_dense_run() -> None:
    rows = plain(tab(scene(nothing="This run trains Dense alone."), 80, 22))
    assert [line.strip() for line in rows if line.strip()] == ["This run trains Dense alone."]


def test_load_through_time_takes_means_and_the_nearest() -> None:
    found, ends = load_chart.through_time([routed(2, 0.2), routed(4, 0.4), routed(10, 0.9)], 8)
    assert ends == (2, 10)
    assert found.shape == (1, 2, 8)
    assert found[0, 0].tolist() == [0.2, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9]
    crowded, _ = load_chart.through_time([routed(s, s / 10) for s in range(1, 9)], 2)
    assert crowded[0, 0].tolist() == pytest.approx([0.25, 0.65])
    alone, _ = load_chart.through_time([routed(5, 0.3)], 3)
    assert alone[0, 0].tolist() == [0.3, 0.3, 0.3]


def test_half_a_cell_is_the_even_share() -> None:
    shares = (0.0, 0.01, 0.125, 0.25, 0.5, 1.0, math.nan)
    marks = [load_chart.mark(share, 4) for share in shares]
    assert "".join(span.text for span in marks) == "×▁▂▄██ "  # noqa: RUF001 - the cross
    assert [span.style for span in marks[:5]] == ["bad", "share.0", "share.1", "share.2", "share.4"]


def test_balance_is_coloured_by_health() -> None:
    one = load_chart.Balance(entropy=0.5, worst=3.5, top1_probability=0.26, dead=2, agreement=0.3)
    rows = load_chart.balance_block([one], 4, "", 70, 9)
    styles = {span.style for span in rows[2] if span.text.strip()}
    assert styles >= {"bad", "warn"}
    assert "good" not in styles
    fine = load_chart.balance_block([load_chart.Balance(1.38, 1.1, 0.8, 0, 0.95)], 4, "", 70, 9)
    assert not {"bad", "warn"} & {span.style for span in fine[2]}


def test_slider_marks_the_checkpoint() -> None:
    assert plain([slider(3, 1, 20)]) == ["┼───●───┼"]
    assert plain([slider(5, 4, 9)]) == ["┼─┼─┼─┼─●"]
    assert plain([slider(50, 0, 9)]) == ["●────────"]
    assert slider(3, 1, 2) == ()


def test_table_is_ordered_by_lift_with_the_rare_last() -> None:
    found = results.routing_survey(surveyed())
    assert found is not None
    names, counts = lift_table.counted(found, Sorting())
    lift = routing.lift(counts)[1]
    order = lift_table.ordered(counts[1], lift, Sorting(expert=2))
    common = [i for i in order if counts[1][:, i].sum() >= lift_table.FEW]
    assert [lift[2, i] for i in common] == sorted((lift[2, i] for i in common), reverse=True)
    assert names[order[-1]] == "3"
    assert "B" not in [names[i] for i in order]
    by_count = lift_table.ordered(counts[1], lift, Sorting(order="count"))
    assert counts[1][0, by_count[0]] == counts[1][0].max()
    by_name = lift_table.ordered(counts[1], lift, Sorting(order="name"))
    assert by_name == sorted(by_name)
    assert lift_table.rows_of(found, 1, Sorting()) == len(order) == len(VOCABULARY) - 1
    assert "consonant" in lift_table.counted(found, Sorting(classes=True))[0]


def test_the_strongest_are_those_read_most_beyond_the_share() -> None:
    found = results.routing_survey(surveyed())
    assert found is not None
    strongest = lift_table.strongest(found, 1, 2)
    counts = found.expert_counts[1]
    shares = counts.sum(0) * counts[2].sum() / counts.sum()
    beyond = [counts[2, token] - shares[token] for token, _ in strongest]
    assert beyond == sorted(beyond, reverse=True)


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
    assert "There is no run" in office.desk.scene.nothing
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
