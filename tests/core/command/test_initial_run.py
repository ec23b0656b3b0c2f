"""``--init-from``: the settings that a new run takes from another, and those that contradict it."""

import os
from pathlib import Path

import pytest

from tests.helpers.models import TEXT
from tests.helpers.trainer import run_training
from tests.helpers.training import make_session, train_session
from tinygpt.command.initial_run import with_initial_run
from tinygpt.errors import ConfigError
from tinygpt.run import read_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    session = make_session(
        tmp_path_factory.mktemp("runs"), gpt__conv_size=3, moe__experts=3, preset="micro"
    )
    train_session(session)
    path: Path = session.path
    return path


def test_without_it_nothing_changes() -> None:
    assert with_initial_run({"steps": "7"}, "runs") == {"steps": "7"}


def test_the_shape_and_the_tokenizer_are_taken(run: Path) -> None:
    asked = {"init_from": "run", "steps": "7", "gpt.width": "12", "optim.learning_rate": "0.001"}
    found = with_initial_run({**asked, "gpt.dropout": "0.25"}, str(run.parent))
    shape = {
        "gpt.layers": 2,
        "gpt.heads": 2,
        "gpt.width": 12,
        "gpt.context": 7,
        "gpt.hidden": 0,
        "gpt.conv_size": 3,
        "gpt.tie_embeddings": False,
        "gpt.rope_base": 10000.0,
        "moe.experts": 3,
        "moe.top_k": 1,
    }
    own = {"preset": "micro", "model": "both", "tokenizer": str(run / "tokenizer.json")}
    assert found == {**asked, **shape, **own, "gpt.dropout": "0.25", "init_from": str(run)}


@pytest.mark.parametrize("where", ["dense", "dense/step-00000012"])
def test_a_variant_is_trained_alone(run: Path, where: str) -> None:
    found = with_initial_run({"init_from": str(run / where)}, "runs")
    assert found["model"] == "dense"
    assert found["init_from"] == str(run / where)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"gpt.width": "14"}, "--gpt.width 14 contradicts --init-from {run}, which has 12: omit"),
        ({"moe.experts": "4"}, "--moe.experts 4 contradicts --init-from {run}, which has 3"),
        ({"gpt.heads": "x"}, "--gpt.heads 'x' is not a whole number"),
        ({"tokenizer": "bpe"}, "--tokenizer bpe contradicts --init-from {run}, whose tokenizer is"),
        ({"vocab_size": "512"}, "--vocab-size contradicts --init-from {run}, whose tokenizer is"),
        ({"preset": "nano"}, "--preset nano contradicts --init-from {run}, which has micro"),
        ({"init_from": "nowhere"}, "--init-from 'nowhere': there is no run 'nowhere'"),
        ({"init_from": "{run}/moe", "model": "dense"}, "--model dense contradicts --init-from"),
    ],
)
def test_contradictions(run: Path, asked: dict[str, str], says: str) -> None:
    asked = {"init_from": str(run), **{k: v.format(run=run) for k, v in asked.items()}}
    with pytest.raises(ConfigError) as error:
        with_initial_run({**asked}, "runs")
    assert str(error.value).startswith(says.format(run=run))


def test_what_does_not_contradict(run: Path) -> None:
    for asked in ({"preset": "auto"}, {"preset": "micro"}, {"tokenizer": str(run)}):
        found = with_initial_run({"init_from": str(run), **asked}, "runs")
        assert found["tokenizer"] == str(run / "tokenizer.json")


def test_a_run_without_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "run.toml").touch()
    with pytest.raises(ConfigError, match="--init-from 'new' has no checkpoint yet"):
        with_initial_run({"init_from": "new"}, str(tmp_path))


def test_a_training_from_the_command_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(TEXT[:601][::-1])
    asked = (
        *("--data", "other.txt", "--init-from", os.path.relpath(run, tmp_path)),
        *("--out", "runs", "--name", "tuned", "--device", "cpu", "--steps", "3"),
    )
    done = run_training(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    config = read_config(tmp_path / "runs" / "tuned")
    assert (config["init_from"], config["model"]) == (str(run), "both")
    assert config["init_steps"].keys() == {"dense", "moe"}
    (tmp_path / "other.txt").write_text("Ж" + TEXT)
    done = run_training(tmp_path, *asked, "--name", "refused")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"--init-from {run} does not know a character of the corpus, 'Ж' (U+0416" in done.stderr
    assert not (tmp_path / "runs" / "refused").exists()
