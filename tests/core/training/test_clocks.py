"""The clock of a run stands still in pauses."""

import time

import pytest

from tinygpt.training.clocks import RunClock


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
