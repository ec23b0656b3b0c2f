"""What the tabs share: the timeline, requests of which one is pending, the run's vocabulary."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.listed import listed
from tinygpt.data.excerpts import TextSource
from tinygpt.run import Which
from tinygpt_tui.engine.protocol import CorpusLineRequest, InspectRequest, Request
from tinygpt_tui.engine.session import EngineSession, Requests, Timeline

STEPS = (0, 7, 20, 45)


def test_the_default_is_followed_until_a_step_is_chosen() -> None:
    timeline = Timeline(listed(*STEPS, live=True))
    assert (timeline.step, timeline.name) == (45, "newest")
    assert timeline.listed(listed(0, 7, 60, live=True)).step == 60
    back = timeline.moved(-1)
    assert (back.step, back.name) == (20, None)
    assert back.listed(listed(*STEPS, 60, live=True)).step == 20
    assert back.listed(listed(0, 17, 60, live=True)).step == 17, "the nearest to one that is gone"
    assert back.moved(1) == timeline
    assert Timeline().moved(1) == Timeline()
    assert (Timeline().step, Timeline().best) == (None, None)


@given(st.lists(st.integers(-5, 5), max_size=9), st.sampled_from(STEPS), st.booleans())
def test_moves_stay_on_the_timeline(moves: list[int], best: int, live: bool) -> None:  # noqa: FBT001
    timeline = Timeline(listed(*STEPS, best=best, live=live))
    place = STEPS.index(timeline.step or 0)
    for by in moves:
        timeline = timeline.moved(by)
        place = min(max(place + by, 0), len(STEPS) - 1)
        assert timeline.step == STEPS[place]
        assert (timeline.name is not None) == (timeline.step in (best, STEPS[-1]))


def test_play_begins_here_or_with_the_first() -> None:
    for which in (None, "newest", "best", 45):
        timeline = Timeline(listed(*STEPS, best=20), chosen=which)
        playing = timeline.toggle_play()
        assert (playing.playing, playing.step) == (True, 0)
        assert playing.toggle_play() == replace(playing, playing=False)
    assert Timeline(listed(*STEPS), chosen=7).toggle_play().step == 7
    assert not Timeline(listed(3)).toggle_play().playing


def test_a_key_switches_between_the_best_and_the_newest() -> None:
    ended = Timeline(listed(*STEPS, best=7))
    assert [ended.step, ended.toggled().step, ended.toggled().toggled()] == [7, 45, ended]
    live = Timeline(listed(*STEPS, best=7, live=True))
    assert [live.step, live.toggled().step, live.toggled().toggled()] == [45, 7, live]
    assert (ended.selected(20).toggled(), live.selected(20).toggled()) == (ended, live)


@pytest.mark.parametrize(
    ("chosen", "after", "swapped"),
    [(None, 7, True), ("newest", 7, True), ("best", 7, False), (20, 20, False)],
)
def test_the_end_of_a_run_changes_what_is_shown_by_default(
    chosen: Which | None,
    after: int,
    swapped: bool,  # noqa: FBT001
) -> None:
    live = Timeline(listed(*STEPS, best=7, live=True)).selected(chosen)
    ended = live.listed(listed(*STEPS, best=7))
    assert (ended.step, ended.swapped_since(live)) == (after, swapped)
    assert not Timeline().listed(listed(*STEPS, best=7)).swapped_since(Timeline())
    assert not ended.listed(listed(*STEPS, 60, best=7)).swapped_since(ended)


class Session(EngineSession):
    """A session that keeps what it asks."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        super().__init__(self.asked.append, lambda: len(self.asked) + 1)

    def inspect(self, requests: Requests[str, str], text: str) -> str | None:
        return self.request(requests, text, lambda job: InspectRequest(job, "run", text))


def test_another_checkpoint_stands_in_for_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    session = Session()
    session.open(tmp_path)
    ended = {"dense": listed(*STEPS, best=20), "moe": listed(3)}
    assert session.list_checkpoints(ended)
    session.leave_out(str(tmp_path / "other" / "dense" / "step-00000020"), "of another run")
    assert session.checkpoints == ended
    session.leave_out(session.checkpoint("dense", 20), "torn")
    assert session.checkpoints["dense"].step("best") == 7
    assert session.checkpoints["dense"].step(20) == 20, "it was chosen by its step"
    assert not session.list_checkpoints(ended), "what is known of it stays known"
    assert session.note_once("dense", "newest") == session.note_once("moe", None) == ""
    says = "Dense: step 20 cannot be used, so step 7 stands in: torn"
    assert [session.note_once("dense", None) for _ in range(2)] == [says, ""]
    assert session.list_checkpoints({"dense": listed(0, 7, 45)})
    assert session.list_checkpoints(ended)
    assert session.checkpoints["dense"].step("best") == 20, "it was written again"


def test_a_copy_that_arrives_in_a_live_run_is_not_called_damaged(tmp_path: Path) -> None:
    session = Session()
    session.open(tmp_path)
    live = listed(*STEPS, live=True).without({45: "it has 0 bytes"})
    session.list_checkpoints({"moe": live})
    assert session.checkpoints["moe"].step() == 20
    assert session.note_once("moe", None) == ""
    session.leave_out(session.checkpoint("moe", 20), "torn")
    session.leave_out(session.checkpoint("moe", 45), "torn")
    assert session.note_once("moe", None).startswith("MoE: step 45 cannot be used, so step 7")


def test_one_request_is_pending_and_answers_are_kept() -> None:
    session, requests = Session(), Requests[str, str](100)
    assert session.inspect(requests, "a") is None
    assert session.inspect(requests, "b") is None
    assert session.asked == [InspectRequest(1, "run", "a")]
    assert requests.job == 1
    requests.answered("of a")
    assert session.inspect(requests, "a") == "of a"
    assert session.inspect(requests, "b") is None
    requests.answered(None, "no")
    assert session.inspect(requests, "b") is None
    assert len(session.asked) == 2, "what failed is not asked again"
    session.visible = False
    assert session.inspect(requests, "c") is None
    assert len(session.asked) == 2, "a hidden tab asks for nothing"
    requests.clear()
    assert "a" not in requests
    assert requests.errors == {}


def test_the_oldest_answers_leave_by_weight_but_never_the_newest() -> None:
    requests = Requests[str, str](5, len)
    for job, (key, answer) in enumerate([("a", "12"), ("b", "123"), ("a", "12"), ("c", "12")]):
        if requests.find(key) is None:
            requests.sent(job, key)
            requests.answered(answer)
    assert [key in requests for key in "abc"] == [True, False, True], "b was used before a"
    requests.sent(9, "d")
    requests.answered("123456789")
    assert [key in requests for key in "acd"] == [False, False, True]


def test_the_vocabulary_is_that_of_the_run(run: Path) -> None:
    session = Session()
    session.load_vocabulary()
    assert session.unknown("aX") == set(), "nothing is known of it yet"
    session.open(run.parent / "none")
    session.load_vocabulary()
    assert session.vocabulary == frozenset()
    session.open(run)
    session.load_vocabulary()
    assert session.unknown("aXbÜ") == {"X", "Ü"}
    assert session.without_unknown("aXbÜ") == "ab"
    session.list_checkpoints({"moe": listed(7), "dense": listed()})
    assert session.available_variants == ["moe"]
    assert session.checkpoint("moe", 7) == str(run / "moe" / "step-00000007")


def test_the_corpus_is_that_of_the_run(tmp_path: Path) -> None:
    session = Session()
    assert session.corpus_text.data == "auto"
    session.open(tmp_path)
    assert session.corpus_text.data == "auto"
    (tmp_path / "run.toml").write_text('data = "/gone/some.txt"\n[corpus]\nbytes = 3\n')
    (tmp_path / "some.txt").write_text("no")
    assert session.ask_corpus_line() == 1
    (tmp_path / "some.txt").write_text("yes")
    assert session.ask_corpus_line() == 2
    source = partial(TextSource, tokenizer=str(tmp_path / "tokenizer.json"))
    assert session.asked == [
        CorpusLineRequest(1, source("/gone/some.txt")),
        CorpusLineRequest(2, source(str(tmp_path / "some.txt"))),
    ]


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ('name = "tinyshakespeare"', True),
        ('name = "shakespeare-standin"', True),
        ('name = "zh"', False),
        ("bytes = 3", True),
    ],
)
def test_a_run_tells_whether_its_corpus_is_shakespeare(
    tmp_path: Path,
    corpus: str,
    expected: bool,  # noqa: FBT001
) -> None:
    session = Session()
    assert session.on_shakespeare, "nothing is known of it yet"
    session.open(tmp_path)
    (tmp_path / "run.toml").write_text(f"[corpus]\n{corpus}\n")
    assert session.on_shakespeare is expected
