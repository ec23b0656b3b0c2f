"""The clock of a run stands still in pauses; that of the steps leaves out what is not a step."""

import time
from contextlib import suppress

import pytest

from tinygpt.training.clocks import RunClock, Stopwatch


def test_pauses_are_not_counted_and_no_part_of_them_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = RunClock(7.0)
    now[0] += 3
    assert clock.seconds == 10
    with clock.stopped():
        now[0] += 5
        with clock.stopped():
            now[0] += 11
        now[0] += 13
        assert clock.seconds == 10
    now[0] += 2
    assert clock.seconds == 12


def test_a_stopwatch_leaves_out_pauses_and_blocks_that_raise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch("cpu")
    with watch:
        now[0] += 3
        with watch.aside():
            now[0] += 5
        now[0] += 7
    assert watch.read() == 10
    with suppress(InterruptedError), watch:
        now[0] += 11
        with watch.aside():
            now[0] += 13
        raise InterruptedError
    with watch.aside():
        now[0] += 19
    assert watch.read() == 0
    with watch:
        now[0] += 17
    assert watch.read() == 17
