"""Requests, signals, heartbeats and the time limit in the middle of long work."""

import math
import signal
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.exactness import exact, only_end, records
from tests.helpers.models import TEXT, tiny
from tests.helpers.trainer import SHAPE, heartbeats, start_training
from tests.helpers.training import Trained, make_session, train_session
from tests.helpers.waiting import until
from tinygpt import checkpoint
from tinygpt.run import (
    CheckpointRecord,
    Control,
    EvalRecord,
    Record,
    TrainRecord,
    checkpoint_dir,
    list_steps,
    read_status,
    request,
)
from tinygpt.run.control import Request
from tinygpt.training import Loop, evaluation, listening, resume
from tinygpt.training import loop as training_loop
from tinygpt.training.clocks import RunClock
from tinygpt.training.listening import (
    Listener,
    StopError,
    TimeLimitError,
    background_heartbeat,
    between_blocks,
)


def test_heartbeats_from_the_background_end_with_the_call_or_their_time(tmp_path: Path) -> None:
    session = make_session(tmp_path)
    writer, run = session.writer, tmp_path / "run"

    def heartbeat() -> float:
        status = read_status(run)
        assert status is not None
        return status.heartbeat

    with writer:
        with background_heartbeat(writer, 7, every=0.01):
            begun = heartbeat()
            until(lambda: heartbeat() > begun)
        status = read_status(run)
        assert status is not None
        assert (status.state, status.step) == ("starting", 7)
        threads = threading.active_count()
        with background_heartbeat(writer, 7, every=0.01, seconds=0.05):
            assert threading.active_count() == threads + 1
            until(lambda: threading.active_count() == threads)  # as in a trainer that hangs


@pytest.mark.parametrize("forwards", [True, False])
def test_a_large_batch_listens_between_blocks(
    monkeypatch: pytest.MonkeyPatch, *, forwards: bool
) -> None:
    monkeypatch.setattr(listening, "LARGE_BATCH", 0.0)
    model, calls = tiny(), []
    ids = torch.arange(11)[None]
    loss = model(ids).square().sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()))

    def listen() -> None:
        calls.append(1)
        if len(calls) > (2 if forwards else 5):  # of three blocks, forwards and then backwards
            raise StopError

    with pytest.raises(StopError), between_blocks(model, 11, listen):
        model(ids).square().sum().backward()
    model.zero_grad()
    with between_blocks(model, 11, lambda: None):
        model(ids).square().sum().backward()
    found = [p.grad for p in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(gradients, found, strict=True) if b is not None)
    assert not any(block._forward_hooks for block in model.blocks)


class Bench:
    """A listener, the calls it makes, and a clock that is set by hand."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.signal: str | None = None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.clock = RunClock()
        self.listener = Listener(
            Control(path, every=0.0),
            self.clock,
            interrupted=lambda: self.signal,
            sleep=self.sleep,
            heartbeat=lambda: self.calls.append("heartbeat"),
            status=self.calls.append,
            save=lambda: self.calls.append("save"),
        )
        self.woken: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.woken()


def test_it_looks_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch)
    looks = []
    for tenth in range(35):
        bench.now = tenth / 10
        bench.calls.clear()
        bench.listener()
        looks += [tenth] if bench.calls else []
    assert looks == [0, 10, 20, 30]


def test_a_pause_is_waited_for_in_the_middle_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch)
    request(tmp_path, "pause")
    request(tmp_path, "checkpoint")
    bench.woken = lambda: request(tmp_path, "resume") if bench.now > 0.5 else None
    bench.listener()
    assert bench.calls == ["heartbeat", "save", "paused", *["heartbeat"] * 3, "running"]
    assert bench.clock.seconds == 0


def test_stops_and_the_time_limit_end_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch)
    with bench.listener.until(2.5):
        bench.now = 2.4
        bench.listener()
        bench.now = 3.5
        with pytest.raises(TimeLimitError):
            bench.listener()
    bench.now = 7
    bench.listener()  # no limit now
    request(tmp_path, "stop")
    bench.now = 9
    with pytest.raises(StopError, match="asked to stop"):
        bench.listener()
    bench.signal = "SIGTERM"
    bench.now = 11
    with pytest.raises(StopError, match="SIGTERM"):
        bench.listener()


@pytest.mark.parametrize("every", [17, 41])
def test_wherever_it_is_stopped_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, trained: Trained
) -> None:
    """Stopped at each `every`-th look, in steps, evaluations and samples."""
    options: dict[str, Any] = {"train__accumulate": 2, "train__sample_tokens": 11}
    options |= {"steps": 8, "train__log_every": 7}
    whole = trained(**options)
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    session, pending, uneven = make_session(tmp_path, **options), set(), 0
    for _ in range(100):
        looks = count(1)
        stop = lambda looks=looks: "SIGTERM" if next(looks) >= every else None  # noqa: E731
        outcome = train_session(session, interrupted=stop)
        pending |= {v.pending for v in session.learners}
        uneven += session.learners[0].progress.step != session.learners[1].progress.step
        if outcome.state == "done":
            break
        torch.manual_seed(12345)  # whatever the global generator holds
        session = resume(tmp_path / "run", {})
    assert outcome.state == "done"
    assert "evaluation" in pending
    assert uneven
    assert_same_end(tmp_path / "run", whole)


@pytest.mark.parametrize("pending", ["probe", "evaluation"])
@pytest.mark.parametrize("variant", [0, 1])
def test_a_resume_begins_with_the_check_that_was_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pending: str,
    variant: int,
    trained: Trained,
) -> None:
    monkeypatch.setattr(training_loop, "PROBE_EVERY", 6)
    options: dict[str, Any] = {"target_loss": 3.5, "steps": 15}
    options |= {"train__eval_every": 50, "train__log_every": 7}
    whole = trained(**options)
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    session = make_session(tmp_path, **options)
    learner = session.learners[variant]

    def stop() -> str | None:
        return "SIGTERM" if learner.pending == pending else None

    assert train_session(session, interrupted=stop).state == "stopped"
    again = resume(tmp_path / "run", {})
    assert again.learners[variant].pending == pending
    assert train_session(again).state == "done"
    assert_same_end(tmp_path / "run", whole)


def assert_same_end(run: Path, whole: Path) -> None:
    assert exact(run) == exact(whole)
    for variant in ("dense", "moe"):
        step = list_steps(whole, variant)[-1]
        a, b = (checkpoint.restore(checkpoint_dir(path, variant, step)) for path in (run, whole))
        assert a.val_loss == b.val_loss
        assert all(torch.equal(a.weights[k], b.weights[k]) for k in b.weights)
        assert all(torch.equal(a.training[k], b.training[k]) for k in b.training)


def test_a_checkpoint_in_the_middle_of_an_evaluation_is_replaced_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    session = make_session(tmp_path, model="dense", train__snapshots=0, train__checkpoint_every=0)
    run, seen = tmp_path / "run", []

    def ask(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.step == 12:
            request(run, "checkpoint")
        if isinstance(record, CheckpointRecord):
            folder = run / record.path
            seen.append((record.step, record.val_loss, checkpoint.restore(folder).pending))

    loop = Loop(session, observe=ask)
    loop._listener._control._every = 0.0
    with session.writer:
        assert loop.run().state == "done"
    losses = {r.step: r.val_loss for r in records(run) if isinstance(r, EvalRecord)}
    assert seen[2:4] == [(12, None, "evaluation"), (12, losses[12], None)]


def test_a_time_limit_in_the_first_step_of_two_leaves_both_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _limited_at(tmp_path, monkeypatch, "dense", seconds=0.1)
    assert [m["step"] for m in outcome.models.values()] == [4, 4]
    assert all(m["val_loss"] is not None for m in outcome.models.values())
    assert list_steps(tmp_path / "run", "moe")[-1] == 4


def test_a_step_that_one_variant_took_is_finished_by_the_other_in_overtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _limited_at(tmp_path, monkeypatch, "moe", seconds=1.0)
    assert [m["step"] for m in outcome.models.values()] == [5, 5]


def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = _limited_at(tmp_path, monkeypatch, "moe", seconds=31.0)
    assert [m["step"] for m in outcome.models.values()] == [5, 4]
    assert outcome.state == "done"


def test_after_an_evaluation_that_took_long_there_is_overtime_too(tmp_path: Path) -> None:
    session = make_session(tmp_path, minutes=10, steps=1000)

    def late(record: Record) -> None:
        if isinstance(record, EvalRecord) and record.model == "dense":
            loop._clock._zero = time.monotonic() - 660

    loop = Loop(session, observe=late)
    with session.writer:
        outcome = loop.run()
    assert [m["step"] for m in outcome.models.values()] == [6, 6]


def _limited_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, *, seconds: float
) -> Any:
    """A run whose limit of ten minutes passed `seconds` ago in the fifth step of a variant."""
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    session = make_session(tmp_path, minutes=10, steps=1000)
    loop = Loop(session)
    clock, learner = loop._clock, next(v for v in session.learners if v.variant == variant)
    train = learner.train

    def late(*arguments: Any) -> Any:
        if learner.progress.step == 4:
            clock._zero = time.monotonic() - 600 - seconds
        return train(*arguments)

    learner.train = late
    with session.writer:
        outcome = loop.run()
    assert outcome.reason == "time limit of 10 min reached"
    return outcome


LONG_STEP = {"train__accumulate": 1009, "steps": 1, "train__snapshots": 0}
"""Several seconds per variant."""


def with_heartbeats(session: Any) -> Any:
    """The session, whose status shows each heartbeat at once."""
    beat = session.writer.heartbeat
    session.writer.heartbeat = lambda step: beat(step, every=0.0)
    return session


def test_a_long_step_is_not_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    session, run = with_heartbeats(make_session(tmp_path, **LONG_STEP)), tmp_path / "run"
    asks: dict[int, Request] = {4: "pause", 8: "resume", 12: "checkpoint"}
    seen: list[tuple[str, float]] = []

    def look() -> str | None:
        status = read_status(run)
        assert status is not None
        seen.append((status.state, status.heartbeat))
        if name := asks.get(len(seen)):
            request(run, name)
        return "SIGTERM" if len(seen) == 15 else None

    loop = Loop(session, interrupted=look, sleep=lambda _: None)
    loop._listener._control._every = 0.0
    with session.writer:
        outcome = loop.run()
    assert (outcome.state, outcome.reason) == ("stopped", "SIGTERM")
    states = [state for state, _ in seen]
    assert states == [*["running"] * 5, *["paused"] * 4, *["running"] * 6]
    assert len({heartbeat for _, heartbeat in seen}) == len(seen)
    assert not (run / "control" / "checkpoint").exists()
    assert not [r for r in records(run) if isinstance(r, TrainRecord)]
    assert list_steps(run, "dense") == list_steps(run, "moe") == [0]


def test_a_long_step_ends_at_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    train_session(make_session(tmp_path, minutes=0.002, **LONG_STEP))
    end = only_end(tmp_path / "run")
    assert (end.state, end.reason) == ("done", "time limit of 0.002 min reached")
    assert [m["step"] for m in end.models.values()] == [0, 0]
    assert all(math.isfinite(m["val_loss"]) for m in end.models.values())


def test_a_long_evaluation_is_not_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the test split, in several batches; a sample of the validation split is one."""
    monkeypatch.setattr(listening, "LISTEN_EVERY", 0.0)
    monkeypatch.setattr(evaluation, "WHOLE_TOKENS", 70)
    options = {"test_share": 0.2, "steps": 2, "model": "dense"}
    session = with_heartbeats(make_session(tmp_path, TEXT * 80, **options))
    run, (learner,) = tmp_path / "run", session.learners
    evaluate, evaluated, heartbeats = learner.evaluate, [], set()

    def testing(windows: list[torch.Tensor], *arguments: Any, **named: Any) -> Any:
        evaluated.append(windows is session.test)
        return evaluate(windows, *arguments, **named)

    def look() -> None:
        status = read_status(run)
        assert status is not None
        if evaluated and evaluated[-1]:
            heartbeats.add(status.heartbeat)
            if len(heartbeats) == 3:
                request(run, "stop")

    learner.evaluate = testing
    loop = Loop(session, interrupted=look)
    loop._listener._control._every = 0.0
    with session.writer:
        loop.run()
    assert len(heartbeats) == 4
    end = only_end(run)
    assert (end.state, end.reason) == ("stopped", "asked to stop")
    (validated,) = [r for r in records(run) if isinstance(r, EvalRecord)]
    assert validated.val_tokens == 70
    dense = end.models["dense"]
    assert (dense["step"], dense["val_loss_over"]) == (2, "sample")
    assert dense["val_loss"] == dense["sampled_val_loss"] == validated.val_loss
    assert "test_loss" not in dense


def test_a_process_in_a_step_of_minutes_is_alive_and_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    run = tmp_path / "runs" / "a"
    long = ("--train.accumulate", "300000", "--steps", "3", "--train.snapshots", "0")
    with start_training(tmp_path, "--data", "corpus.txt", *SHAPE, *long, "--name", "a") as process:
        heartbeats(process, run, 2)
        process.send_signal(signal.SIGINT)
        until(lambda: process.poll() is not None)
        assert process.returncode == 130
    assert (only_end(run).state, only_end(run).reason) == ("stopped", "SIGINT")
    assert not [r for r in records(run) if isinstance(r, TrainRecord)]
    assert list_steps(run, "dense") == list_steps(run, "moe") == [0]
