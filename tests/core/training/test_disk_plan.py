"""What a run takes on disk: known before it starts, and kept to."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.checkpoints import is_in_bf16
from tests.helpers.exactness import exact, records, same_end
from tests.helpers.training import Trained, make_session, stop_at, train_session
from tinygpt import checkpoint, load
from tinygpt.errors import ConfigError
from tinygpt.retention import RESUMABLE
from tinygpt.run import CheckpointRecord, EvalRecord, Record, checkpoint_dir, list_steps
from tinygpt.run.disk import disk_use
from tinygpt.run.meta import TRAINING
from tinygpt.training import disk_plan, resume, session
from tinygpt.training.disk_plan import DiskPlan, checkpoint_bytes, in_words, need


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models count as large ones."""
    monkeypatch.setattr(disk_plan, "LARGE_MODEL", 1)


@pytest.fixture(params=["small", "large"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiny models as they are, and as if they were large."""
    if request.param == "large":
        monkeypatch.setattr(disk_plan, "LARGE_MODEL", 1)
    kind: str = request.param
    return kind


def checkpoints_bytes(run: Path) -> int:
    return sum(found.total for found in disk_use(run).checkpoints)


def budget_for(made: Any, snapshots: int, resumable: int) -> float:
    """GB that suffice for exactly this."""
    sizes = [checkpoint_bytes(learner) for learner in made.learners]
    return need(sizes, snapshots, resumable, made.config.steps) / 1e9


@pytest.mark.parametrize("changes", [{}, {"optim__optimizer": "adamw", "optim__average": 0.0}])
def test_sizes_are_known_before_the_first_step(
    tmp_path: Path, either: str, changes: dict[str, Any]
) -> None:
    made = make_session(tmp_path, train__snapshots=0, train__checkpoint_every=0, **changes)
    before = [checkpoint_bytes(learner) for learner in made.learners]
    train_session(made)
    for size, learner in zip(before, made.learners, strict=True):
        assert size == checkpoint_bytes(learner)
        assert size.large == (either == "large")
        saved, path = learner.snapshot(), tmp_path / "elsewhere" / learner.variant
        path.mkdir(parents=True)
        for expected, weights_only in ((size.resumable, False), (size.snapshot, True)):
            if weights_only and not size.large:
                continue
            folder = checkpoint.save(path, saved, weights_only=weights_only)
            written = sum(file.stat().st_size for file in folder.iterdir())
            assert expected - 20_000 < written <= expected


SHALLOW = {"model": "moe", "gpt__layers": 1, "gpt__width": 24, "train__sample_tokens": 0}
MANY_CHECKPOINTS = {**SHALLOW, "steps": 24, "train__checkpoint_every": 1}


@pytest.mark.parametrize(("snapshots", "resumable"), [(20, 3), (5, 3), (1, 3), (1, 2), (1, 1)])
def test_a_run_stays_within_its_budget(
    tmp_path: Path, either: str, snapshots: int, resumable: int
) -> None:
    (tmp_path / "a").mkdir()
    probe = make_session(tmp_path / "a", **MANY_CHECKPOINTS)
    budget = budget_for(probe, snapshots, resumable)
    probe.writer.close()
    (tmp_path / "b").mkdir()
    made = make_session(tmp_path / "b", **MANY_CHECKPOINTS, train__disk_budget=budget)
    assert made.kept.resumable == resumable
    assert made.kept.bytes == round(budget * 1e9)
    run, used = tmp_path / "b" / "run", [0]

    def observe(record: Record) -> None:
        if isinstance(record, CheckpointRecord):  # complete, and nothing is deleted for it yet
            used.append(checkpoints_bytes(run))

    assert train_session(made, observe=observe).state == "done"
    assert max(used) <= made.kept.bytes
    for learner in made.learners:
        steps = list_steps(run, learner.variant)
        folders = [checkpoint_dir(run, learner.variant, step) for step in steps]
        assert sum((folder / TRAINING).exists() for folder in folders) == resumable
        best = learner.progress.best_step
        assert best in steps
        assert load(run / learner.variant).step == best


def test_one_byte_less_means_one_snapshot_less(tmp_path: Path, either: str) -> None:
    made = make_session(tmp_path, steps=40)
    made.writer.close()
    exactly = budget_for(made, 9, RESUMABLE)
    for budget, snapshots in ((exactly, 9), (exactly - 1e-9, 8)):
        (tmp_path / f"{snapshots}").mkdir()
        fitted = make_session(tmp_path / f"{snapshots}", steps=40, train__disk_budget=budget)
        fitted.writer.close()
        assert (fitted.kept.snapshots, fitted.kept.resumable) == (snapshots, RESUMABLE)
    assert made.kept.snapshots == 20
    assert either


def test_a_budget_that_is_too_small_names_the_least(tmp_path: Path, either: str) -> None:
    with pytest.raises(ConfigError, match=r"--train\.disk-budget 1e-06 is too small") as refused:
        make_session(tmp_path, train__disk_budget=1e-6)
    assert not (tmp_path / "run").exists()
    least = re.search(r"at least ([\d.e-]+)$", str(refused.value))
    assert least
    made = make_session(tmp_path, train__disk_budget=float(least[1]))
    made.writer.close()
    assert made.kept.resumable == 1
    assert made.kept.snapshots <= 2  # the first and the newest stay in any case
    assert either


def test_a_disk_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_plan, "free_bytes", lambda _: 123_456)
    with pytest.raises(ConfigError) as refused:
        make_session(tmp_path)
    says = str(refused.value)
    assert says.startswith(f"{tmp_path} has 123 kB free, but the checkpoints of this run take up")
    assert says.endswith("or keep fewer with --train.disk-budget 0.000123")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(disk_plan, "free_bytes", lambda _: None)
    make_session(tmp_path).writer.close()


def test_what_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: None
) -> None:
    monkeypatch.setattr(disk_plan, "free_bytes", lambda _: 123_000_000_000)
    made = make_session(tmp_path)
    made.writer.close()
    assert in_words(made.kept, made.config, tmp_path) is None
    monkeypatch.setattr(disk_plan, "WORTH_SAYING", 1000)
    line = in_words(DiskPlan(20, RESUMABLE, 31_700_000_000), made.config, tmp_path)
    assert line == "disk: checkpoints take up to 31.7 GB; 123 GB free"
    budget = budget_for(made, 2, RESUMABLE)
    (tmp_path / "b").mkdir()
    fewer = make_session(tmp_path / "b", train__disk_budget=budget)
    fewer.writer.close()
    line = in_words(fewer.kept, fewer.config, tmp_path)
    assert line is not None
    assert line.endswith(
        f"within --train.disk-budget {budget:g}: 2 snapshots of each model, not 20, and 3 to "
        "resume from; 123 GB free"
    )


def make_large(folder: Path) -> Any:
    """Evaluations are at 6, 12 and 13; at 1, 2, 3, 4 and 8 there is nothing but a snapshot."""
    return make_session(folder, train__checkpoint_every=5)


@pytest.fixture
def whole(large: None, trained: Trained) -> Path:
    """The run of such a model. It is shared: not to be changed."""
    return trained(make=make_large)


def test_snapshots_of_a_large_model_are_weights_alone(whole: Path) -> None:
    best = {r.model: r.best_step for r in records(whole) if isinstance(r, EvalRecord)}
    assert list(best) == ["dense", "moe"]
    for variant, best_step in best.items():
        folders = {s: checkpoint_dir(whole, variant, s) for s in range(14)}
        there = {step for step, folder in folders.items() if folder.exists()}
        assert there == {0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 13}
        kept = {step for step in there if (folders[step] / TRAINING).exists()}
        assert kept == {10, 12, 13}
        in_fp32 = {step for step in there if not is_in_bf16(folders[step])}
        assert in_fp32 == kept | {best_step}
        assert all(load(folder).step == step for step, folder in folders.items() if step in there)
        saved = [r for r in records(whole) if isinstance(r, CheckpointRecord)]
        assert {r.step for r in saved if r.model == variant} == there


def test_a_large_model_is_resumed_from_what_a_stop_saved(tmp_path: Path, whole: Path) -> None:
    """Also where the step had been saved as a snapshot already. Stopped and resumed five times."""
    made, run = make_large(tmp_path), tmp_path / "run"
    for step in (1, 3, 6, 8, 11):
        assert train_session(made, interrupted=stop_at(step, made)).state == "stopped"
        made = resume(run, {})
        assert [learner.progress.step for learner in made.learners] == [step, step]
    assert train_session(made).state == "done"
    assert exact(run) == exact(whole)
    same_end(run, whole, 13)


def test_a_large_model_that_was_killed_goes_on_from_what_can_be_resumed(
    tmp_path: Path, whole: Path
) -> None:
    made = make_large(tmp_path)
    run = tmp_path / "run"
    kill(made, after=8)
    resumed = resume(run, {})
    assert resumed.notes == []
    assert [learner.progress.step for learner in resumed.learners] == [6, 6]
    assert max(list_steps(run, "dense")) == 6
    assert train_session(resumed).state == "done"
    assert exact(run) == exact(whole)
    same_end(run, whole, 13)


def test_where_there_are_only_snapshots_they_can_be_resumed(tmp_path: Path, large: None) -> None:
    made = make_session(tmp_path, train__checkpoint_every=0, train__eval_every=100)
    kill(made, after=8)
    assert [learner.progress.step for learner in resume(tmp_path / "run", {}).learners] == [8, 6]


def test_a_resume_may_have_another_budget(tmp_path: Path, large: None) -> None:
    made = make_session(tmp_path)
    budget = budget_for(made, 2, 2)
    train_session(made, interrupted=stop_at(7, made))
    resumed = resume(tmp_path / "run", {"train.disk_budget": f"{budget}"})
    assert (resumed.kept.snapshots, resumed.kept.resumable) == (2, 2)
    assert train_session(resumed).state == "done"
    assert checkpoints_bytes(tmp_path / "run") <= budget * 1e9


def kill(made: session.Session, after: int) -> None:
    """Train until the Dense model is saved at or after a step, and end there like a kill."""

    class KilledError(BaseException):
        pass

    def observe(record: Record) -> None:
        if isinstance(record, CheckpointRecord) and record.step >= after:
            raise KilledError

    with pytest.raises(KilledError):
        train_session(made, observe=observe)
