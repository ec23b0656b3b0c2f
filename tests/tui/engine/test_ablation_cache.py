"""Which ablations are requested, and when."""

import numpy as np
import pytest

from tests.helpers.routed import ablation_reply
from tinygpt.config import Shares
from tinygpt.data.excerpts import TextSource
from tinygpt_tui.engine.ablation_cache import AblationCache
from tinygpt_tui.engine.protocol import AblationRequest, Ended, Failed, Request, StopRequest

FIRST, SECOND, THIRD = (f"run/moe/step-0000000{step}" for step in (1, 2, 3))
KEPT = Shares(test=0.1)
HEADS = np.ones((2, 3))


class Harness:
    """A cache, and what it asked the engine."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.cache = AblationCache(self.asked.append, lambda: len(self.asked) + 1)

    def request(self, path: str) -> None:
        self.cache.request(path, TextSource("text.txt", KEPT))

    def answer(self, path: str) -> bool:
        """Answer the last request, which must be for this checkpoint."""
        asked = self.asked[-1]
        assert asked == AblationRequest(len(self.asked), path, TextSource("text.txt", KEPT))
        return self.cache.handle(ablation_reply(asked.job, path, HEADS))


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_of_those_requested_while_one_is_measured_the_last_one_follows(harness: Harness) -> None:
    for path in (FIRST, SECOND, THIRD, FIRST):
        harness.request(path)
    assert len(harness.asked) == 1
    assert harness.answer(FIRST)
    assert harness.answer(THIRD)
    assert not harness.cache.pending
    known = {path: harness.cache.of(path) is not None for path in (FIRST, SECOND, THIRD)}
    assert known == {FIRST: True, SECOND: False, THIRD: True}
    harness.request(FIRST)
    assert len(harness.asked) == 2, "a known one is not measured again"


def test_a_failed_one_may_be_requested_again(harness: Harness) -> None:
    harness.request(FIRST)
    harness.cache.handle(Failed(1, "no text"))
    assert "no text" in harness.cache.problem(FIRST)
    assert harness.cache.problem(SECOND) == harness.cache.problem(None) == ""
    harness.request(FIRST)
    assert harness.cache.problem(FIRST) == ""
    assert harness.answer(FIRST)


def test_another_run_stops_the_measurement(harness: Harness) -> None:
    harness.request(FIRST)
    harness.request(SECOND)
    harness.cache.clear()
    assert harness.asked[-1] == StopRequest(1)
    assert not harness.cache.handle(Ended(1, "stopped", 0.0))
    assert not harness.cache.handle(ablation_reply(1, FIRST, HEADS))
    assert harness.cache.of(FIRST) is None
    assert len(harness.asked) == 2
