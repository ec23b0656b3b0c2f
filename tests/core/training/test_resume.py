"""A resumed run is the uninterrupted one; what may change, and what is refused."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.checkpoints import alter_progress, alter_tensor
from tests.helpers.exactness import exact, only_end, records, same_end
from tests.helpers.models import TEXT
from tests.helpers.training import Trained, make_overfitting, make_session, stop_at, train_session
from tinygpt import checkpoint, load
from tinygpt.errors import CheckpointError, ConfigError, CorpusError, RunError
from tinygpt.run import (
    EvalRecord,
    ResumeRecord,
    StartRecord,
    TrainRecord,
    checkpoint_dir,
    read_state,
)
from tinygpt.run.meta import TRAINING
from tinygpt.run.settings import stored_settings
from tinygpt.training import resume
from tinygpt.training.resume import resumed_config


@pytest.mark.parametrize(
    "options",
    [
        {"train__accumulate": 2},
        {"optim__optimizer": "adamw", "moe__bias_rate": 0.01},
        {"gpt__tie_embeddings": True},
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, options: dict[str, Any], trained: Trained
) -> None:
    """Stopped and resumed four times."""
    wanted = trained(**options)
    made, run = make_session(tmp_path, **options), tmp_path / "run"
    for step in (1, 4, 6, 11):
        outcome = train_session(made, interrupted=stop_at(step, made))
        assert outcome.state == read_state(run).state == "stopped"
        torch.manual_seed(12345)  # whatever the global generator holds
        made = resume(run, {})
        assert [learner.progress.step for learner in made.learners] == [step, step]
    assert train_session(made).state == "done"
    assert exact(run) == exact(wanted)
    same_end(run, wanted, 13)


def test_patience_and_overfitting_are_exact_over_a_resume(tmp_path: Path, trained: Trained) -> None:
    """Stopped and resumed four times."""
    wanted = trained(make=make_overfitting, patience=3)
    made, run = make_overfitting(tmp_path, patience=3), tmp_path / "run"
    for step in (5, 12, 17, 23):
        assert train_session(made, interrupted=stop_at(step, made)).state == "stopped"
        evaluated = [r for r in records(run) if isinstance(r, EvalRecord)]
        made = resume(run, {})
        for learner in made.learners:
            assert learner.progress.step == step
            assert learner.evaluations == [r for r in evaluated if r.model == learner.variant]
    outcome = train_session(made)
    assert exact(run) == exact(wanted)
    assert outcome.reason == only_end(wanted).reason
    assert outcome.models["moe"]["overfitting_since"] == 6


def test_a_run_from_before_patience_existed_has_none(copied: Trained) -> None:
    run = copied(14, make=make_overfitting, steps=24)
    stored = run / "run.toml"
    settings = stored.read_text()
    assert "patience = 0\n" in settings
    stored.write_text(settings.replace("patience = 0\n", ""))
    again = resume(run, {})
    assert again.config.patience == 0
    assert train_session(again, interrupted=stop_at(16, again)).state == "stopped"
    ends = [r.ends for r in records(run) if isinstance(r, ResumeRecord)]
    assert ends == [{"steps": 24}]
    assert "no better validation loss in 2" in train_session(resume(run, {"patience": 2})).reason


@pytest.mark.gpu
@pytest.mark.parametrize("step", [4, 7])
def test_resumed_on_a_gpu_goes_on_where_it_was(tmp_path: Path, step: int) -> None:
    """Sums of atomic additions there are not the same bit for bit."""
    losses = []
    for name, stop in (("whole", 13), ("parts", step)):
        (tmp_path / name).mkdir()
        made = make_session(tmp_path / name, device="cuda", train__compile=False)
        train_session(made, interrupted=stop_at(stop, made))
    run = tmp_path / "parts" / "run"
    assert train_session(resume(run, {})).state == "done"
    for folder in (run, tmp_path / "whole" / "run"):
        found = [r for r in records(folder) if isinstance(r, TrainRecord)]
        losses.append({(r.model, r.step): r.loss for r in found})
    assert len(losses[0]) == 26
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_corrupt_newest_checkpoint_falls_back_and_says_so(
    trained: Trained, copied: Trained
) -> None:
    run = copied(9)
    torn = run / "moe" / "step-00000009" / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-3])
    again = resume(run, {})
    assert [v.progress.step for v in again.learners] == [9, 8]
    assert len(again.notes) == 1
    assert "moe/step-00000009" in again.notes[0]
    assert "resuming from step-00000008 instead" in again.notes[0]
    train_session(again)
    assert exact(run) == exact(trained())
    note = next(r.note for r in records(run) if isinstance(r, ResumeRecord))
    assert note is not None
    assert "moe/step-00000009" in note


def test_resume_of_a_run_that_is_done_needs_a_later_end(copied: Trained) -> None:
    run = copied()
    with pytest.raises(RunError, match="finished at step 13: set more steps"):
        resume(run, {})
    assert read_state(run).state == "done"
    outcome = train_session(resume(run, {"steps": "17"}))
    assert [m["step"] for m in outcome.models.values()] == [17, 17]


def test_resume_with_nothing_to_resume(tmp_path: Path, copied: Trained) -> None:
    with pytest.raises(RunError, match=r"run\.toml is missing"):
        resume(tmp_path, {})
    run = copied()
    shutil.rmtree(run / "moe")
    with pytest.raises(RunError, match="there is nothing to resume"):
        resume(run, {"steps": "17"})


@pytest.mark.parametrize("records_left", [0, 1])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, records_left: int, trained: Trained
) -> None:
    make_session(tmp_path).writer.close()
    run = tmp_path / "run"
    os.truncate(run / "metrics.jsonl", records_left and os.path.getsize(run / "metrics.jsonl"))
    again = resume(run, {})
    assert again.notes == [f"{v} had no checkpoint yet: it starts over" for v in ("dense", "moe")]
    assert train_session(again).state == "done"
    assert isinstance(records(run)[0], StartRecord)
    assert exact(run) == exact(trained())


def test_resume_with_another_configuration(copied: Trained) -> None:
    run = copied(3)
    with pytest.raises(ConfigError, match=r"--gpt.layers is 3, but .* was started with 2"):
        resume(run, {"gpt.layers": "3"})
    again = resume(run, {"gpt.layers": "2", "seed": "1"})
    again.writer.close()
    unchanged = resume(run, {})
    unchanged.writer.close()
    assert again.config == unchanged.config


def test_a_new_end_replaces_the_old_one(tmp_path: Path) -> None:
    stored = {"steps": 13, "seed": 1}
    assert resumed_config(stored, {"minutes": "2"}, tmp_path).steps is None
    assert resumed_config(stored, {"target_loss": "2"}, tmp_path).steps == 13


def test_resume_with_another_corpus(tmp_path: Path, copied: Trained) -> None:
    run = copied(3)
    (tmp_path / "corpus.txt").write_text(TEXT + "more")
    with pytest.raises(CorpusError, match=r"the corpus of .* has changed"):
        resume(run, {})


def test_two_trainers_on_one_run(copied: Trained) -> None:
    run = copied(3)
    first = resume(run, {})
    with first.writer, pytest.raises(RunError, match="is being trained by process"):
        resume(run, {})


def test_a_new_end_holds_for_later_resumes_too(copied: Trained) -> None:
    run = copied()
    again = resume(run, {"steps": "17"})
    train_session(again, interrupted=stop_at(15, again))
    assert train_session(resume(run, {})).reason == "17 steps"


def test_a_torn_checkpoint_does_not_stay(copied: Trained) -> None:
    run = copied(9)
    (run / "moe" / "step-00000009" / "model.safetensors").write_bytes(b"")
    resume(run, {}).writer.close()
    assert load(run / "moe", step="newest").step == 8


def test_the_corpus_may_have_moved(tmp_path: Path, copied: Trained) -> None:
    """Its new place is recorded, so that it is asked for once."""
    run = copied(3)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "corpus.txt").rename(tmp_path / "elsewhere" / "moved.txt")
    with pytest.raises(CorpusError, match=r"name its file with --resume --data PATH \(sha256 "):
        resume(run, {})
    for place in (str(moved), None, None):
        session = resume(run, {"data": place} if place else {})
        assert session.corpus.path == str(moved)
        session.writer.close()
    assert [r.data for r in records(run) if isinstance(r, ResumeRecord)] == [str(moved), None, None]
    beside = moved.rename(tmp_path / "beside.txt")
    resume(run, {}).writer.close()
    assert stored_settings(run)["data"] == str(beside)


def test_the_path_of_the_corpus_is_stored_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_session(Path())
    train_session(made, interrupted=stop_at(3, made))
    stored = stored_settings(tmp_path / "run")
    assert stored["data"] == stored["corpus"]["path"] == str(tmp_path / "corpus.txt")
    assert stored["corpus"]["bytes"] == len(TEXT)
    monkeypatch.chdir("/")
    resume(tmp_path / "run", {}).writer.close()


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_missing_here(
    copied: Trained, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("tinygpt.device.read_gpus", lambda: ())  # or it would say which is hidden
    run = copied(9)
    settings = run / "run.toml"
    settings.write_text(settings.read_text().replace('device = "cpu"', f'device = "{device}"'))
    with pytest.raises(ConfigError) as error:
        resume(run, {})
    assert str(error.value) == (
        f"{run} was started with --device {device}, which is not available here: "
        "resume it with --device cpu"
    )
    assert train_session(resume(run, {"device": "cpu"})).state == "done"
    with pytest.raises(ConfigError, match=f"^--device {device} is not available here: use"):
        resume(run, {"device": device, "steps": "99"})


@pytest.mark.parametrize(
    ("name", "tensor", "says"),
    [
        ("muon.0.momentum", torch.zeros(1), r"muon.0.momentum should have the shape \[2, 12, 12\]"),
        ("muon.0.momentum", torch.full((2, 12, 12), torch.nan), "not finite"),
        ("muon.99.momentum", torch.zeros(1), "unknown optimizer state muon.99.momentum"),
        ("adamw.0.exp_avg_sq", None, "adamw.0.exp_avg_sq has a negative number"),
        ("model.head", torch.zeros(3, 5), "size mismatch for head"),
        ("model.head", torch.zeros(3, dtype=torch.bool), "model.head is bool"),
    ],
)
def test_training_state_of_another_kind_is_passed_over(
    trained: Trained, copied: Trained, name: str, tensor: torch.Tensor | None, says: str
) -> None:
    """Torch accepts such state, and fails or trains on with it at the next step."""
    run = copied(9)
    folder = checkpoint_dir(run, "moe", 9)
    if tensor is None:
        tensor = -checkpoint.restore(folder).training[name].abs() - 1
    alter_tensor(folder, TRAINING, name, tensor)
    again = resume(run, {})
    assert [v.progress.step for v in again.learners] == [9, 8]
    assert len(again.notes) == 1
    assert re.search(says, again.notes[0])
    assert again.notes[0].endswith("; resuming from step-00000008 instead")
    train_session(again)
    assert exact(run) == exact(trained())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train_seconds", float("inf")),
        ("best_val_loss", float("nan")),
        ("wall_seconds", -1.0),
        ("evaluated_step", 2.5),
        ("best_step", True),
        ("tokens", 10**400),
        ("probe_bias", 10**400),
        ("expert_load", [[0.5, 0.5]]),
        ("expert_load", [["a"] * 4] * 2),
        ("colour", 3),
    ],
)
def test_progress_that_no_training_has_is_passed_over(
    copied: Trained, name: str, value: object
) -> None:
    run = copied(9)
    alter_progress(checkpoint_dir(run, "moe", 9), name, value)
    again = resume(run, {})
    again.writer.close()
    assert [v.progress.step for v in again.learners] == [9, 8]
    assert again.notes[0].endswith("; resuming from step-00000008 instead")


def test_state_that_is_missing_is_passed_over(tmp_path: Path, trained: Trained) -> None:
    made = make_session(tmp_path)
    made.writer.close()
    found = checkpoint.restore(checkpoint_dir(trained(9), "dense", 9))
    some = {name: t for name, t in found.training.items() if name != "muon.1.momentum"}
    with pytest.raises(CheckpointError, match=r"its optimizer state has no muon\.1\.momentum"):
        made.learners[0].restore(replace(found, training=some))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "width = 12",
            "width = 13",
            "gpt.width 13 is not a multiple of gpt.heads 2: try gpt.width 14",
        ),
        ("batch = 5", "batch = 0", "train.batch 0 is out of range: it must be at least 1"),
    ],
)
def test_errors_in_the_stored_settings_name_their_keys(
    copied: Trained, old: str, new: str, says: str
) -> None:
    file = copied(3) / "run.toml"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(RunError) as error:
        resume(file.parent, {})
    assert str(error.value) == f"{file}: {says}"
