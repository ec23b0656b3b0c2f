"""Which checkpoint is meant, for any losses and any damage, and what a run directory says."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.checkpoints import snapshot
from tests.helpers.run_files import own_status, status
from tinygpt import checkpoint
from tinygpt.run import CheckpointList, Status, list_checkpoints, read_state
from tinygpt.run.checkpoints import NAMES, Name, list_variant
from tinygpt.run.meta import META, WEIGHTS
from tinygpt.run.status import write_status

LOSSES = st.none() | st.sampled_from([1.25, 1.5, 3.0])


@st.composite
def lists(draw: st.DrawFn) -> CheckpointList:
    losses = draw(st.dictionaries(st.integers(0, 40), LOSSES, min_size=1))
    damaged = draw(st.sets(st.sampled_from(sorted(losses))))
    ordered = {step: losses[step] for step in sorted(losses)}
    return CheckpointList(ordered, dict.fromkeys(damaged, "torn"), draw(st.booleans()))


@given(lists(), st.sampled_from(NAMES))
def test_every_checkpoint_may_stand_in_for_a_name(found: CheckpointList, name: Name) -> None:
    assert sorted(found.ranked(name)) == list(found.steps)
    step = found.step(name)
    intact = [s for s in found.steps if s not in found.problems]
    assert step in intact or not intact
    assert (found.note(name) == "") == (step == found.ranked(name)[0])
    assert "torn" in (found.note(name) or "torn")


@given(lists())
def test_the_best_has_the_lowest_loss_and_came_first(found: CheckpointList) -> None:
    intact = {s: loss for s, loss in found.val_losses.items() if s not in found.problems}
    losses = [loss for loss in intact.values() if loss is not None]
    if losses:
        assert found.step("best") == next(s for s, x in intact.items() if x == min(losses))
        assert found.name("best") == "best"
    elif intact:
        assert found.step("best") == found.step("newest") == max(intact)
        assert found.name("best") == "newest"
    if intact:
        assert found.step("newest") == max(intact)


@given(lists(), st.integers(0, 40))
def test_a_step_means_itself_alone(found: CheckpointList, step: int) -> None:
    assert found.ranked(step) == [step] * (step in found.steps)
    assert found.step(step) == (step if step in found.steps else None)
    assert (found.name(step), found.note(step)) == (None, "")


@given(lists())
def test_nothing_said_means_the_newest_of_a_live_run_and_else_the_best(
    found: CheckpointList,
) -> None:
    default: Name = "newest" if found.live else "best"
    assert found.default == default
    assert found.ranked() == found.ranked(default)
    assert (found.other(), found.other(default)) == (found.other(None), found.other(None))
    assert found.other() != default
    assert found.other(found.other()) is found.other(7) is None
    for step in found.steps:
        names = found.names_of(step)
        assert {*names} == {n for n in NAMES if found.name(n) == n and found.step(n) == step}
        assert names[:1] != [found.other()] or len(names) == 1


def test_a_loss_that_cannot_be_read_may_be_the_lowest() -> None:
    found = CheckpointList({3: 1.5, 5: None, 7: 1.25, 9: None}, {5: "torn"})
    assert found.ranked("best") == [5, 7, 3, 9]
    assert found.step("best") == 7
    assert found.note("best") == "step 5 cannot be used, so step 7 stands in: torn"
    assert found.note("newest") == ""
    worse = found.without({7: "bits", 8: "not there"})
    assert (worse.step("best"), worse.problems) == (3, {5: "torn", 7: "bits"})


def test_no_checkpoint_at_all() -> None:
    found = CheckpointList()
    assert (found.steps, found.step(), found.note(), found.ranked(3)) == ((), None, "", [])


ELSEWHERE = {"host": "elsewhere", "heartbeat": 1.0}


@pytest.mark.parametrize(
    ("written", "state", "default"),
    [
        (own_status(), "live", "newest"),
        (own_status(state="paused"), "paused", "newest"),
        (status(state="done"), "done", "best"),
        (status(state="stopped"), "stopped", "best"),
        (status(state="failed"), "failed", "best"),
        (status(), "killed", "best"),
        (status(**ELSEWHERE), "stalled", "best"),
        (None, "new", "best"),
    ],
)
def test_the_state_of_the_run_decides(
    tmp_path: Path, written: Status | None, state: str, default: str
) -> None:
    if written is not None:
        write_status(tmp_path, written)
    assert read_state(tmp_path).state == state
    assert {found.default for found in list_checkpoints(tmp_path).values()} == {default}


def test_each_variant_has_its_own_best(tmp_path: Path) -> None:
    for variant, losses in (("dense", (1.5, 1.25, 1.75)), ("moe", (1.5, 1.25, 1.0))):
        for step, loss in zip((3, 5, 7), losses, strict=True):
            checkpoint.save(tmp_path, snapshot(variant, step, loss))
    found = list_checkpoints(tmp_path, live=False)
    assert found["dense"].val_losses == {3: 1.5, 5: 1.25, 7: 1.75}
    assert {variant: each.step() for variant, each in found.items()} == {"dense": 5, "moe": 7}
    assert {each.step() for each in list_checkpoints(tmp_path, live=True).values()} == {7}


def test_what_is_not_whole_is_a_problem_until_it_is(tmp_path: Path) -> None:
    for step in (3, 5, 7, 9):
        checkpoint.save(tmp_path, snapshot(step=step, loss=2 - step / 10))
    assert list_variant(tmp_path, "dense").problems == {}
    weights = tmp_path / "dense" / "step-00000007" / WEIGHTS
    data = weights.read_bytes()
    weights.write_bytes(data[:-1])
    (tmp_path / "dense" / "step-00000005" / META).unlink()
    (tmp_path / "dense" / "step-00000009" / WEIGHTS).unlink()
    found = list_variant(tmp_path, "dense")
    assert {*found.problems} == {5, 7, 9}
    assert f"it has {len(data) - 1:,} bytes" in found.problems[7]
    assert (found.val_losses[5], found.val_losses[7]) == (None, 1.3)
    assert found.step("best") == found.step("newest") == 3
    weights.write_bytes(data)
    assert list_variant(tmp_path, "dense").step("newest") == 7
    shutil.rmtree(tmp_path / "dense" / "step-00000009")
    assert list_variant(tmp_path, "dense").steps == (3, 5, 7)


def test_a_checkpoint_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    folder = checkpoint.save(tmp_path, snapshot(step=5, loss=1.5))
    assert list_variant(tmp_path, "dense").val_losses == {5: 1.5}
    checkpoint.save(tmp_path, snapshot(step=5, loss=1.125))
    assert list_variant(tmp_path, "dense").val_losses == {5: 1.125}
    meta = json.loads((folder / META).read_text())
    del meta["val_loss"]  # as the first versions wrote it
    (folder / META).write_text(json.dumps(meta))
    assert list_variant(tmp_path, "dense").val_losses == {5: None}
