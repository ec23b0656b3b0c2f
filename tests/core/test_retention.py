"""Which checkpoints stay: the newest, the best, and log-spaced snapshots."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.checkpoints import TOKENIZER, snapshot
from tinygpt import checkpoint, load
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.retention import prune, snapshot_due, thin_out
from tinygpt.run import checkpoint_dir, list_steps


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
