"""Training runs that are killed and resumed, and what must hold afterwards."""

from pathlib import Path

from tests.helpers.exactness import exact, weights
from tinygpt import checkpoint
from tinygpt.run import (
    CheckpointRecord,
    MetricsReader,
    TrainRecord,
    drop_rewound,
    is_run,
    list_runs,
    list_steps,
    read_state,
)

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
    """Assert what is promised of a run directory whose trainer was just killed, or ended in one of
    the states `also`."""
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


def check_large(run: Path) -> None:
    """The same of a large model: also what was reported to look at only is there, and what can be
    resumed from is no older than the last of the checkpoints at every fourth step."""
    if not is_run(run):
        return
    reader = MetricsReader(run)
    found = [r for r in drop_rewound(reader.read()) if isinstance(r, CheckpointRecord)]
    assert reader.skipped == reader.unknown == 0
    every = int(SHAPE["train.checkpoint-every"])
    for variant in ("dense", "moe"):
        reported, there = [r.step for r in found if r.model == variant], list_steps(run, variant)
        if reported:
            assert max(reported) in there, "a checkpoint that was reported is gone"
            snapshot, passed_over = checkpoint.newest_resumable(run, variant)
            assert snapshot.step >= max(step for step in reported if step % every == 0)
            assert not passed_over
        for step in there:
            assert checkpoint.load(run / variant / f"step-{step:08d}").step == step


def take_up(run: Path) -> list[str]:
    """The options that resume a run, or start it if it does not exist yet."""
    return AGAIN if (run / "run.toml").exists() else BEGIN


def finished(run: Path, reference: Path) -> None:
    """Whether it ended like the undisturbed run."""
    assert read_state(run).state == "done"
    assert exact(run) == exact(reference)
    last = max(list_steps(reference, "dense"))
    mine, theirs = weights(run), weights(reference)
    newest = [name for name in theirs if f"step-{last:08d}" in name]
    assert newest
    assert {name: mine.get(name) for name in newest} == {name: theirs[name] for name in newest}


def steps(run: Path) -> int:
    """How many were recorded."""
    return sum(isinstance(r, TrainRecord) for r in MetricsReader(run).read())
