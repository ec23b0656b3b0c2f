"""`kill -9` at random moments: nothing that was reported is lost, and the end is the same."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TEXT
from tests.exactness import exact, weights
from tests.torture.nursery import ROOT, Nursery
from tinygpt import checkpoint
from tinygpt.run import CheckpointRecord, MetricsReader, is_run, list_runs, list_steps, read_state

SHAPE = {
    "gpt.layers": "2",
    "gpt.heads": "2",
    "gpt.width": "12",
    "gpt.context": "7",
    "gpt.dropout": "0.1",
    "train.batch": "5",
    "train.eval-every": "6",
    "train.checkpoint-every": "4",
    "train.sample-tokens": "11",
    "train.threads": "1",
    "device": "cpu",
    "data": "corpus.txt",
    "name": "run",
}
BEGIN = [word for name, value in SHAPE.items() for word in (f"--{name}", value)]
AGAIN = ["--resume", "--name", "run", "--data", "corpus.txt"]


def check(run: Path, *, also: tuple[str, ...] = ()) -> None:
    """What is promised of a directory whose trainer was killed just now, or ended in one of the
    states `also`."""
    if not is_run(run):
        return
    (listed,) = list_runs(run.parent)
    assert listed.state.state in ("new", "killed", "done", "unreadable", *also), listed
    assert listed.state.state != "unreadable" or not (run / "run.toml").exists(), listed
    reader = MetricsReader(run)
    records = reader.read()
    assert reader.skipped == reader.unknown == 0
    for variant in ("dense", "moe"):
        reported = [
            r.step for r in records if isinstance(r, CheckpointRecord) and r.model == variant
        ]
        there = list_steps(run, variant)
        if reported:
            assert max(reported) in there, "a checkpoint that was reported is gone"
            snapshot, passed_over = checkpoint.newest_resumable(run, variant)
            assert snapshot.step >= max(reported)
            assert not passed_over
        for step in there:
            assert checkpoint.load(run / variant / f"step-{step:08d}").step == step


def take_up(run: Path) -> list[str]:
    """The words that go on with a run, or begin it where there is none yet."""
    return AGAIN if (run / "run.toml").exists() else BEGIN


def finished(run: Path, reference: Path) -> None:
    """Whether it ended as the one that nobody disturbed."""
    assert read_state(run).state == "done"
    assert exact(run) == exact(reference)
    last = max(list_steps(reference, "dense"))
    mine, theirs = weights(run), weights(reference)
    newest = [name for name in theirs if f"step-{last:08d}" in name]
    assert newest
    assert {name: mine.get(name) for name in newest} == {name: theirs[name] for name in newest}


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_random(
    nursery: Nursery, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    end = ["--steps", "41"]
    status, whole = nursery.train(*BEGIN, *end, "--out", "reference")
    assert status == 0, nursery.said()
    dice, kills, finishes = random.Random(seed), 0, 0
    run = tmp_path / "runs" / "run"
    while kills < 25:
        words = take_up(run)
        arguments = [*words, *(end if words is BEGIN else ()), "--out", "runs"]
        status, _ = nursery.train(*arguments, wait=dice.uniform(0, 0.6 * whole))
        if status == -9:
            kills += 1
            check(run)
            if not is_run(run) or read_state(run).state != "done":
                continue
        else:
            assert status == 0, nursery.said()
            assert not list(run.rglob(".*.tmp")), "a temporary was left"
        finished(run, tmp_path / "reference" / "run")
        finishes += 1
        shutil.rmtree(run.parent)
    while is_run(run) and read_state(run).state != "done":
        words = take_up(run)
        status, _ = nursery.train(*words, *(end if words is BEGIN else ()), "--out", "runs")
        assert status == 0, nursery.said()
        finished(run, tmp_path / "reference" / "run")
        finishes += 1
    assert finishes
    record_property("count kills at random moments", kills)
    record_property("count runs that ended bit-identical after kills", finishes)


def test_killed_from_a_shell(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The command itself, a few times."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    command = [sys.executable, str(ROOT / "trainer.py")]

    def train(*words: str, wait: float | None = None) -> int:
        process = subprocess.Popen(
            [*command, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    end = ["--steps", "301"]
    assert train(*BEGIN, *end, "--out", "reference") == 0
    dice, kills = random.Random(7), 0
    run = tmp_path / "runs" / "run"
    while not is_run(run) or read_state(run).state != "done":
        words = take_up(run)
        wait = dice.uniform(2, 6) if kills < 7 else None
        status = train(*words, *(end if words is BEGIN else ()), "--out", "runs", wait=wait)
        if status == -9:
            kills += 1
            check(run)
    finished(run, tmp_path / "reference" / "run")
    assert kills
    record_property("count kills of the command", kills)
