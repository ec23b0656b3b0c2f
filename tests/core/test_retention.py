"""Which checkpoints stay: the newest, the best, and log-spaced snapshots."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.checkpoints import TOKENIZER, is_in_bf16, snapshot
from tinygpt import checkpoint, load
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.errors import CheckpointError
from tinygpt.retention import prune, snapshot_due, thin_out
from tinygpt.run import checkpoint_dir, list_steps
from tinygpt.run.meta import TRAINING


def test_prune_keeps_newest_best_and_snapshots(tmp_path: Path) -> None:
    run = tmp_path
    save_tokenizer(TOKENIZER, run / "tokenizer.json")
    for step in range(0, 40, 2):
        checkpoint.save(run, snapshot(step=step))
        prune(run, "dense", snapshots=5, best=14)
    steps = list_steps(run, "dense")
    assert steps[0] == 0
    assert steps[-1] == 38
    assert 14 in steps
    assert len(steps) == 6
    resumable = [
        step
        for step in steps
        if (checkpoint_dir(run, "dense", step) / "training.safetensors").exists()
    ]
    assert resumable == steps[-3:]
    assert all(load(checkpoint_dir(run, "dense", s)).step == s for s in steps)


@pytest.mark.parametrize("snapshots", [0, 1, 2, 3, 20])
def test_a_damaged_newest_checkpoint_has_two_spares(tmp_path: Path, snapshots: int) -> None:
    for step in range(0, 40, 2):
        checkpoint.save(tmp_path, snapshot(step=step))
        prune(tmp_path, "dense", snapshots=snapshots, best=14)
    for step in (38, 36, 34):
        assert checkpoint.newest_resumable(tmp_path, "dense")[0].step == step
        (checkpoint_dir(tmp_path, "dense", step) / "training.safetensors").write_bytes(b"")


def test_of_a_large_model_only_what_is_used_stays_whole(tmp_path: Path) -> None:
    """Every third checkpoint can be resumed from; the others are snapshots from the start."""
    for step in range(40):
        checkpoint.save(tmp_path, snapshot(step=step), weights_only=step % 3 > 0)
        prune(
            tmp_path,
            "dense",
            snapshots=5,
            best=15,
            resumable=2,
            reduce=checkpoint.reduce_to_weights,
        )
    steps = list_steps(tmp_path, "dense")
    folders = {step: checkpoint_dir(tmp_path, "dense", step) for step in steps}
    assert steps[0] == 0
    assert {15, 36, 39} <= {*steps}
    assert len({*steps} - {15, 36, 39}) == 5
    assert [s for s in steps if (folders[s] / TRAINING).exists()] == [36, 39]
    assert [s for s in steps if not is_in_bf16(folders[s])] == [15, 36, 39]
    assert checkpoint.newest_resumable(tmp_path, "dense")[0].step == 39


def test_a_full_disk_or_damage_leaves_a_checkpoint_to_be_reduced_later(tmp_path: Path) -> None:
    def refused(folder: Path) -> None:
        raise OSError(28, "No space left on device") if "2" in folder.name else CheckpointError

    for step in range(5):
        checkpoint.save(tmp_path, snapshot(step=step))
    assert prune(tmp_path, "dense", snapshots=9, best=None, reduce=refused) == []
    assert list_steps(tmp_path, "dense") == [*range(5)]
    prune(tmp_path, "dense", snapshots=9, best=None, reduce=checkpoint.reduce_to_weights)
    reduced = [is_in_bf16(checkpoint_dir(tmp_path, "dense", step)) for step in range(5)]
    assert reduced == [True, True, False, False, False]


@given(st.sets(st.integers(0, 10**7), min_size=1, max_size=60), st.integers(0, 30), st.data())
def test_thin_out(steps: set[int], snapshots: int, data: st.DataObject) -> None:
    always = data.draw(st.sets(st.sampled_from(sorted(steps)), max_size=2))
    dropped = thin_out(steps, snapshots, always)
    kept = steps - set(dropped)
    assert {min(steps), max(steps)} | always <= kept
    assert len(kept - always) <= max(snapshots, 2)
    if len(steps) <= snapshots:
        assert not dropped


def test_snapshots_are_evenly_spaced_in_the_logarithm() -> None:
    kept: list[int] = []
    for step in range(20_001):
        if snapshot_due(step, 20) or step % 250 == 0:
            kept = [s for s in [*kept, step] if s not in thin_out([*kept, step], 20)]
    ratios = [(b + 1) / (a + 1) for a, b in itertools.pairwise(kept)]
    assert len(kept) == 20
    assert max(ratios) < 3
    assert kept[:3] == [0, 1, 2]
