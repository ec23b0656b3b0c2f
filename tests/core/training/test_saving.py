"""Checkpoints written beside the steps: the same run, and nothing is reported too early."""

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.exactness import exact, records, same_end, weights
from tests.helpers.training import make_session, stop_at, train_session
from tests.helpers.waiting import PATIENCE
from tinygpt import checkpoint, load, tensor_file
from tinygpt.run import (
    CheckpointRecord,
    EndRecord,
    Record,
    TrainRecord,
    checkpoint_dir,
    list_steps,
    read_state,
    request,
)
from tinygpt.run.layout import STATUS
from tinygpt.training import Loop, disk_plan, resume, saving
from tinygpt.training.saving import Saver, copied, saves_beside_steps

SPARSE = {"model": "dense", "train__snapshots": 0, "train__checkpoint_every": 5}
"""Saved at 0 and 5; at 6, 12 and 13, if these are better; and whenever it ends."""


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models on the CPU are saved as large ones on a GPU are."""
    monkeypatch.setattr(disk_plan, "LARGE_MODEL", 1)
    monkeypatch.setattr(saving, "saves_beside_steps", lambda _: True)


class Gate:
    """Holds the thread in the middle of the save of a step, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step = 0
        self.reached, self._opened = threading.Event(), threading.Event()
        write = tensor_file.write

        def held(path: Path, tensors: Any) -> Any:
            entry = write(path, tensors)
            if f"step-{self.step:08}" in str(path):
                assert threading.current_thread() is not threading.main_thread()
                self.reached.set()
                assert self._opened.wait(PATIENCE)
            return entry

        monkeypatch.setattr(tensor_file, "write", held)

    def open(self) -> None:
        """Let the save go on, and all later ones."""
        self._opened.set()


@pytest.fixture
def gate(beside: None, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture
def opened_by_waiting(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The save in progress ends only once the training waits for it."""
    finish = Saver.finish

    def opening(saver: Saver) -> None:
        if saver._saving:
            gate.open()
        finish(saver)

    monkeypatch.setattr(Saver, "finish", opening)
    return gate


def on_step(step: int, act: Callable[[], None]) -> Callable[[Record], None]:
    """An `observe` that acts when a step has been recorded."""

    def observe(record: Record) -> None:
        if isinstance(record, TrainRecord) and record.step == step:
            act()

    return observe


def saved(run: Path) -> list[int]:
    return [r.step for r in records(run) if isinstance(r, CheckpointRecord)]


def test_the_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_plan, "LARGE_MODEL", 1)
    for name in ("in-line", "beside"):
        (tmp_path / name).mkdir()
        made = make_session(tmp_path / name, train__checkpoint_every=5, train__snapshots=4)
        assert train_session(made).state == "done"
        monkeypatch.setattr(saving, "saves_beside_steps", lambda _: True)
    a, b = (tmp_path / name / "run" for name in ("in-line", "beside"))
    assert exact(a) == exact(b)
    assert weights(a) == weights(b)
    assert sorted(saved(a)) == sorted(saved(b))
    assert isinstance(records(b)[-1], EndRecord)


def test_steps_go_on_and_nothing_is_reported_before_it_is_there(tmp_path: Path, gate: Gate) -> None:
    run, seen = tmp_path / "run", []
    made = make_session(tmp_path, **SPARSE)

    def look() -> None:
        assert gate.reached.wait(PATIENCE)
        assert (saved(run), list_steps(run, "dense")) == ([], [])
        gate.open()

    def observe(record: Record) -> None:
        on_step(4, look)(record)
        if isinstance(record, CheckpointRecord):
            seen.append(record.step)
            folder = checkpoint_dir(run, "dense", record.step)
            assert load(folder).val_loss == record.val_loss
            assert record.tokens == record.step * 35

    assert train_session(made, observe=observe).state == "done"
    assert seen == saved(run)
    assert seen[:3] == [0, 5, 6]
    assert seen[-1] == 13
    assert list_steps(run, "dense")[-1] == 13


def test_a_stop_waits_for_the_save_in_progress(tmp_path: Path, opened_by_waiting: Gate) -> None:
    run = tmp_path / "run"
    made = make_session(tmp_path, **SPARSE)
    assert train_session(made, interrupted=stop_at(3, made)).state == "stopped"
    assert opened_by_waiting.reached.is_set()
    assert saved(run) == [0, 3]
    assert isinstance(records(run)[-1], EndRecord)
    assert checkpoint.newest_resumable(run, "dense")[0].step == 3


def test_a_pause_waits_for_the_save_in_progress(tmp_path: Path, opened_by_waiting: Gate) -> None:
    run, while_paused = tmp_path / "run", []

    def sleep(_: float) -> None:
        while_paused.append((read_state(run).state, saved(run)))
        request(run, "resume")

    made = make_session(tmp_path, **SPARSE)
    loop = Loop(made, observe=on_step(3, lambda: request(run, "pause")), sleep=sleep)
    loop._listener._control._every = 0.0
    with made.writer:
        assert loop.run().state == "done"
    assert while_paused == [("paused", [0])]


def test_a_kill_in_the_middle_of_a_save_loses_nothing(tmp_path: Path, gate: Gate) -> None:
    """The run directory as it is while the thread writes step 5: what a kill leaves."""
    for name in ("made", "killed"):
        (tmp_path / name).mkdir()
    run, killed = tmp_path / "made" / "run", tmp_path / "killed" / "run"
    gate.step = 5

    def kill() -> None:
        assert gate.reached.wait(PATIENCE)
        assert len([*(run / "dense").glob(".step-00000005.*.tmp")]) == 1
        shutil.copytree(run, killed)
        (killed / STATUS).unlink()  # it names this process, which is alive
        gate.open()

    made = make_session(tmp_path / "made", **{**SPARSE, "train__eval_every": 9})
    assert train_session(made, observe=on_step(8, kill)).state == "done"
    assert saved(killed) == list_steps(killed, "dense") == [0]
    resumed = resume(killed, {})
    assert [learner.progress.step for learner in resumed.learners] == [0]
    assert train_session(resumed).state == "done"
    assert exact(killed) == exact(run)
    same_end(killed, run, 13)


def test_a_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: None
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    train_session(make_session(tmp_path / "a", **SPARSE))
    left, write, run, seen = [3], tensor_file.write, tmp_path / "b" / "run", []

    def full(path: Path, tensors: Any) -> Any:
        if "step-00000005" in str(path) and left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, tensors)

    monkeypatch.setattr(tensor_file, "write", full)
    made = make_session(tmp_path / "b", **SPARSE)
    outcome = train_session(made, sleep=lambda _: seen.append(read_state(run)))
    assert outcome.state == "done"
    assert [state.state for state in seen] == ["paused"] * 3
    assert "No space left on device; training continues once there is space" in seen[0].reason
    assert 5 in saved(run)
    assert exact(run) == exact(tmp_path / "a" / "run")
    same_end(run, tmp_path / "a" / "run", 13)


def test_any_other_error_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: None
) -> None:
    write = tensor_file.write

    def broken(path: Path, tensors: Any) -> Any:
        if "step-00000005" in str(path):
            raise OSError(errno.EIO, "Input/output error")
        return write(path, tensors)

    monkeypatch.setattr(tensor_file, "write", broken)
    outcome = train_session(make_session(tmp_path, **SPARSE))
    assert outcome.state == "failed"
    assert outcome.error == (
        f"cannot write the checkpoint {tmp_path}/run/dense/step-00000005: Input/output error"
    )
    assert saved(tmp_path / "run") == list_steps(tmp_path / "run", "dense") == [0]


def test_a_run_that_fails_still_reports_the_save_in_progress(tmp_path: Path, gate: Gate) -> None:
    def fail() -> None:
        gate.open()
        raise MemoryError

    outcome = train_session(make_session(tmp_path, **SPARSE), observe=on_step(3, fail))
    assert outcome.state == "failed"
    found = records(tmp_path / "run")
    assert saved(tmp_path / "run") == [0]
    assert isinstance(found[-1], EndRecord)
    assert list_steps(tmp_path / "run", "dense") == [0]


def test_a_second_interrupt_waits_for_the_thread(tmp_path: Path, gate: Gate) -> None:
    """The run's lock must not be released while its folder is written to."""

    def interrupt() -> None:
        gate.open()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_session(make_session(tmp_path, **SPARSE), observe=on_step(3, interrupt))
    assert list_steps(tmp_path / "run", "dense") == [0]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("save")]


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_copy_does_not_change_with_the_model(tmp_path: Path, *, weights_only: bool) -> None:
    made = make_session(tmp_path, model="moe", train__snapshots=0)
    train_session(made)
    (learner,) = made.learners
    taken = learner.snapshot()
    before = {name: tensor.clone() for name, tensor in taken.weights.items()}
    state = {name: tensor.clone() for name, tensor in taken.training.items()}
    copy = copied(taken, weights_only=weights_only)
    with torch.no_grad():
        for tensor in (*taken.weights.values(), *taken.training.values()):
            tensor.zero_()
    kind = torch.bfloat16 if weights_only else torch.float32
    assert all(torch.equal(copy.weights[k], before[k].to(kind)) for k in before)
    assert copy.training.keys() == ({} if weights_only else state).keys()
    assert all(torch.equal(copy.training[k], state[k]) for k in copy.training)


def test_small_models_and_those_on_a_cpu_are_saved_in_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_session(tmp_path)
    made.writer.close()
    (dense, _) = made.learners
    for smallest, device, beside_steps in (
        (1, "cpu", False),
        (1, "cuda:1", True),
        (10**6, "cuda", False),
    ):
        monkeypatch.setattr(disk_plan, "LARGE_MODEL", smallest)
        dense.device = device
        assert saves_beside_steps(dense) == beside_steps


@pytest.mark.gpu
def test_a_copy_from_a_gpu_is_complete() -> None:
    numbers = torch.arange(1 << 22, dtype=torch.float32)
    held = saving._copy(numbers.cuda())
    torch.cuda.synchronize()
    assert held.device.type == "cpu"
    assert torch.equal(held, numbers)
