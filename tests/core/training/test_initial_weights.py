"""A new run that starts from the weights of another."""

from pathlib import Path
from typing import Any

import pytest
import torch

import tinygpt
from tests.helpers.training import Trained, make_session, train_session
from tinygpt.errors import ConfigError
from tinygpt.run import list_steps, read_config
from tinygpt.training.initial_weights import load_initial
from tinygpt.training.resume import resume


def of_run(run: Path, folder: Path, **changes: Any) -> Any:
    folder.mkdir()
    values = {"tokenizer": str(run / "tokenizer.json"), **changes}
    return make_session(folder, init_from=str(run), **values)


@pytest.fixture
def run(trained: Trained) -> Path:
    return trained()


def test_it_starts_from_the_best_weights_with_a_fresh_optimizer(run: Path, tmp_path: Path) -> None:
    session = of_run(run, tmp_path / "new")
    steps = read_config(session.path)["init_steps"]
    for learner in session.learners:
        best = tinygpt.load(run / learner.variant, step="best")
        assert steps[learner.variant] == best.step
        for model in (learner.model, learner.average.model):
            for name, tensor in model.state_dict().items():
                assert torch.equal(tensor, best.model.state_dict()[name])
        assert learner.progress.step == 0
        assert not any(optimizer.state for optimizer in learner.optimizers)
        weights = learner.model.embed.weight
        assert weights.requires_grad
    before = session.learners[0].model.embed.weight.clone()
    train_session(session)
    assert not torch.equal(before, session.learners[0].model.embed.weight)


def test_a_single_checkpoint(run: Path, tmp_path: Path) -> None:
    step = tinygpt.load(run / "moe", step="newest").step
    named = run / "moe" / f"step-{step:08d}"
    session = of_run(named, tmp_path / "new", tokenizer=str(run / "tokenizer.json"), model="moe")
    session.writer.close()
    assert read_config(session.path)["init_steps"] == {"moe": step}


def test_a_resume_before_the_first_checkpoint_starts_from_them_again(
    run: Path, tmp_path: Path
) -> None:
    """From those that run.toml names, though the other run may have better ones by now."""
    session = of_run(run, tmp_path / "new", model="dense")
    session.writer.close()
    toml = session.path / "run.toml"
    text = toml.read_text()
    best = tinygpt.load(run / "dense", step="best")
    other = next(step for step in list_steps(run, "dense") if step != best.step)
    toml.write_text(text.replace(f"dense = {best.step}", f"dense = {other}"))
    resumed = resume(session.path, {})
    resumed.writer.close()
    (learner,) = resumed.learners
    wanted = tinygpt.load(run / "dense", step=other).model
    assert learner.progress.step == 0
    assert torch.equal(learner.model.embed.weight, wanted.embed.weight)
    assert not torch.equal(learner.model.embed.weight, best.model.embed.weight)


def test_mistakes_are_one_sentence(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has a model of another shape: give the settings"):
        of_run(run, tmp_path / "wide", gpt__width=16)
    with pytest.raises(ConfigError, match="has no weights of moe: choose another --model"):
        of_run(run / "dense", tmp_path / "lacking", tokenizer=str(run / "tokenizer.json"))
    assert not (tmp_path / "wide" / "run").exists()


def test_without_it_nothing_is_loaded(tmp_path: Path) -> None:
    session = make_session(tmp_path)
    before = session.learners[0].model.embed.weight.clone()
    assert load_initial(session.config, session.learners) == {}
    assert torch.equal(before, session.learners[0].model.embed.weight)
    session.writer.close()
    assert "init_steps" not in read_config(session.path)
