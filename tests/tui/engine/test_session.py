"""What the tabs share: the timeline, requests of which one is pending, the run's vocabulary."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tinygpt_tui.engine.protocol import CorpusLineRequest, InspectRequest, Request
from tinygpt_tui.engine.session import EngineSession, Requests, Timeline

STEPS = (0, 7, 20, 45)


def test_the_timeline_follows_the_newest_until_a_step_is_chosen() -> None:
    timeline = Timeline(STEPS)
    assert (timeline.step, timeline.following) == (45, True)
    assert timeline.listed((0, 7, 60)).step == 60
    back = timeline.moved(-1)
    assert (back.step, back.following) == (20, False)
    assert back.listed((*STEPS, 60)).step == 20
    assert back.listed((0, 17, 60)).step == 17, "the nearest to one that is gone"
    assert back.moved(1) == timeline
    assert Timeline().moved(1) == Timeline()
    assert Timeline().step is None


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_moves_stay_on_the_timeline(moves: list[int]) -> None:
    timeline, place = Timeline(STEPS), len(STEPS) - 1
    for by in moves:
        timeline = timeline.moved(by)
        place = min(max(place + by, 0), len(STEPS) - 1)
        assert timeline.step == STEPS[place]
        assert timeline.following == (place == len(STEPS) - 1)


def test_play_begins_here_and_at_the_end_with_the_first() -> None:
    playing = Timeline(STEPS).toggle_play()
    assert (playing.playing, playing.step) == (True, 0)
    assert playing.toggle_play() == replace(playing, playing=False)
    assert Timeline(STEPS, chosen=7).toggle_play().step == 7
    assert not Timeline((3,)).toggle_play().playing


class Session(EngineSession):
    """A session that keeps what it asks."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        super().__init__(self.asked.append, lambda: len(self.asked) + 1)

    def inspect(self, requests: Requests[str, str], text: str) -> str | None:
        return self.request(requests, text, lambda job: InspectRequest(job, "run", text))


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
    session.checkpoint_steps = {"moe": [7], "dense": []}
    assert session.available_variants == ["moe"]
    assert session.checkpoint("moe", 7) == str(run / "moe" / "step-00000007")


def test_the_corpus_is_that_of_the_run(tmp_path: Path) -> None:
    session = Session()
    assert session.data == "auto"
    session.open(tmp_path)
    assert session.data == "auto"
    (tmp_path / "run.toml").write_text('data = "/gone/some.txt"\n[corpus]\nbytes = 3\n')
    (tmp_path / "some.txt").write_text("no")
    assert session.ask_corpus_line() == 1
    (tmp_path / "some.txt").write_text("yes")
    assert session.ask_corpus_line() == 2
    assert session.asked == [
        CorpusLineRequest(1, "/gone/some.txt"),
        CorpusLineRequest(2, str(tmp_path / "some.txt")),
    ]
