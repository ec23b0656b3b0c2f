"""Which process hangs, failed, or is gone, as the others see it."""

import math

import pytest

from tinygpt.training.watch import SILENT, Watch


class Memory:
    """A store of torch.distributed."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value.encode()

    def get(self, key: str) -> bytes:
        return self.values[key]

    def check(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)


class Three:
    """Three processes at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        store = Memory()
        self.watches = [Watch(store, rank, 3, clock=lambda: self.now) for rank in range(3)]
        for watch in self.watches:
            watch.timeout = 60.0

    def exchange(self, *silent: int) -> None:
        for _ in range(2):  # all see the signs of all
            for rank, watch in enumerate(self.watches):
                if rank not in silent:
                    watch.exchange()

    def pass_time(self, seconds: float, *silent: int) -> None:
        for _ in range(round(seconds)):
            self.now += 1
            self.exchange(*silent)


def test_a_process_that_neither_moves_nor_waits_hangs() -> None:
    three = Three()
    three.watches[0].at("step 3", waiting=True)
    three.watches[1].at("step 2")
    three.watches[2].at("step 3", waiting=True)
    three.pass_time(59)
    assert not any(watch.hanging() for watch in three.watches)
    three.pass_time(2)
    assert [watch.hanging() for watch in three.watches] == [{1: "step 2"}] * 3


def test_waiting_on_purpose_is_moving() -> None:
    three = Three()
    for _ in range(100):
        three.watches[0].alive()
        three.pass_time(1)
        for watch in three.watches[1:]:
            watch.wait()
    assert not any(watch.hanging() for watch in three.watches)
    three.watches[1].wait(waiting=False)
    three.pass_time(61)
    assert set(three.watches[2].hanging()) == {0, 1}


def test_a_process_without_signs_hangs_even_if_it_waited() -> None:
    three = Three()
    for watch in three.watches:
        watch.wait()
    three.exchange()
    three.pass_time(59, 2)
    assert not three.watches[0].hanging()
    three.pass_time(3, 2)
    assert set(three.watches[0].hanging()) == {2}
    assert not math.isinf(three.watches[0].timeout)


def test_a_failure_is_blamed_on_the_process_that_says_so() -> None:
    three = Three()
    three.exchange()
    three.watches[1].failed("rank 1 on there: out of memory")
    assert three.watches[0].blame() == "rank 1 on there: out of memory"


def test_a_silent_process_is_blamed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt.training.watch.this_host", lambda: "there")
    three = Three()
    three.exchange()
    assert three.watches[0].blame(patience=-1) is None
    three.pass_time(SILENT + 2, 2)
    assert str(three.watches[0].blame()).startswith("rank 2 on there has ended without a word")
    assert str(three.watches[0].lost()).startswith("rank 2 on there")
