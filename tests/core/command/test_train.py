"""The whole command in its own process: results, mistakes, exit statuses."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.trainer import SHAPE, run_pasted, run_printed, run_training, start_training
from tests.helpers.training import OVERFITS
from tests.helpers.waiting import PATIENCE
from tinygpt.run import read_config, read_state


def test_json_and_plain_lines(corpus_file: Path, tmp_path: Path) -> None:
    done = run_training(tmp_path, "--data", str(corpus_file), *SHAPE, "--steps", "41", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    path = tmp_path / result["run"]
    assert result["corpus"] == {
        "name": "corpus.txt",
        "sha256": read_config(path)["corpus"]["sha256"],
        "chars": corpus_file.stat().st_size,
    }
    assert list(result["models"]) == ["dense", "moe"]
    keys = {
        *("step", "tokens", "train_seconds", "wall_seconds", "val_loss", "best_val_loss"),
        *("perplexity", "params_total", "params_active", "tokens_per_second", "seconds_to_target"),
        *("overfitting_since", "bits_per_byte", "nats_per_char"),
    }
    assert result["tokenizer"]["kind"] == "char"
    assert result["models"]["dense"].keys() == keys
    assert result["models"]["moe"].keys() == keys | {"expert_load"}
    (load,) = result["models"]["moe"]["expert_load"]
    assert len(load) == 4
    assert sum(load) == pytest.approx(1)
    lines = done.stderr.splitlines()
    assert lines[0] == f"corpus: file {corpus_file}"
    assert sum(line.startswith("dense step ") for line in lines) == 3
    assert "\x1b" not in done.stderr
    assert "validation loss" in done.stderr
    assert (path / "train.log").read_text().splitlines()[-1] == "done: 41 steps"


@pytest.mark.parametrize("script", ["tinygpt_tui", "trainer"])
def test_a_finished_training_says_how_to_open_it_and_to_generate(
    corpus_file: Path, tmp_path: Path, script: str
) -> None:
    where = ("--out", "my runs", "--name", "it's")
    arguments = ("--data", str(corpus_file), *SHAPE, *where, "--steps", "3", "--json")
    done = run_training(tmp_path, *arguments, script=script)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    (opening,) = re.findall("^open it with: (.*)$", done.stderr, re.MULTILINE)
    (generating,) = re.findall("^generate with: (.*)$", done.stderr, re.MULTILINE)
    run = run_pasted if script == "trainer" else run_printed
    opened = run(tmp_path, opening)
    assert "the interface needs a terminal" in opened.stderr
    generated = run(tmp_path, f"{generating} --max-new-tokens 5")
    assert generated.returncode == 0, generated.stderr
    assert generated.stdout


def test_overfitting_and_the_end_of_patience_are_said_once(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(OVERFITS)
    arguments = ("--data", "corpus.txt", *SHAPE, "--train.eval-every", "10", "--name", "a")
    ends = ("--steps", "300", "--patience", "5", "--json")
    done = run_training(tmp_path, *arguments, *ends)
    assert done.returncode == 0, done.stderr
    models = json.loads(done.stdout)["models"]
    lines, log = done.stderr.splitlines(), (tmp_path / "runs" / "a" / "train.log").read_text()
    for name in ("dense", "moe"):
        best, step = f"{models[name]['best_val_loss']:.3f}", models[name]["overfitting_since"]
        assert models[name]["step"] == step + 50
        notes = [
            f"{name}: overfitting since step {step} (best {best})",
            f"{name}: no better validation loss in 5 evaluations, best {best} at step {step}",
        ]
        assert [line for line in lines if line.startswith(f"{name}: ")] == notes
        assert all(f"\n{note}\n" in log for note in notes)
    assert any(line.split() == ["overfitting", "since", "step", "10", "10"] for line in lines)
    assert log.splitlines()[-1].startswith("done: dense: no better validation loss in 5 ")
    more = run_training(tmp_path, "--resume", "--name", "a", "--out", "runs", "--patience", "7")
    assert more.returncode == 0, more.stderr
    assert more.stderr.count("dense: overfitting since step") == 1
    assert more.stdout.count("overfitting since step") == 1
    again = run_training(tmp_path, "--resume", "--name", "a", "--out", "runs")
    assert again.returncode == 2
    assert again.stderr == (
        f"runs/a has used up --patience 7 at step {models['moe']['step'] + 20}: "
        "set more, or 0 to train on without it\n"
    )


def test_trainer_is_a_script_too(corpus_file: Path, tmp_path: Path) -> None:
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "2", "--model", "dense")
    done = run_training(tmp_path, *arguments, script="trainer")
    assert done.returncode == 0, done.stderr
    assert "validation loss" in done.stdout
    assert "moe" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stepss", "3"), "--stepss is not an option: did you mean --steps?"),
        (("--steps", "three"), "--steps 'three' is not a whole number"),
        (("--steps",), "argument --steps: expected one argument"),
        (("--steps", "1" + "0" * 400), "is not a whole number"),
        (("--gpt.width", "10000000", "--data", "corpus.txt"), "do not fit in the memory"),
        (("--preset", "nanoo"), "did you mean 'nano'?"),
        (("--data", "missing.txt"), "--data missing.txt does not exist"),
        (("--device", "cuda", "--data", "corpus.txt"), "--device cuda is not available here"),
        (("--config", "no.toml"), "--config no.toml cannot be read"),
        (("--config", "wrong.toml"), "unknown setting 'gpt.depth'"),
        (("--config", "corpus.txt"), "is not valid TOML"),
        (("--resume",), "--resume: there is no run in checkpoints"),
        (("--resume", "--name", "x"), "--resume: there is no run 'x'"),
        (("--name", "../x", "--data", "corpus.txt"), "'../x' cannot name a run"),
        (("--gpt.context", "2000", "--data", "corpus.txt"), "characters"),
        (("x", "y"), "is not an option"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    corpus_file: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "wrong.toml").write_text("[gpt]\ndepth = 3\n")
    before = sorted(tmp_path.iterdir())
    done = run_training(tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_the_disk_that_refuses_is_named(corpus_file: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    done = run_training(tmp_path, "--data", str(corpus_file), *SHAPE, "--steps", "2")
    assert done.returncode == 2
    assert "runs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_loss_that_explodes_leaves_valid_json(corpus_file: Path, tmp_path: Path) -> None:
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "3", "--json")
    wild = {"learning-rate": "3000", "warmup": "0", "average": "0"}
    done = run_training(
        tmp_path, *arguments, *(w for k, v in wild.items() for w in (f"--optim.{k}", v))
    )
    assert done.returncode in (0, 1)
    models = json.loads(done.stdout.splitlines()[-1])["models"]
    assert models["dense"]["perplexity"] is None
    assert "Traceback" not in done.stderr


def test_names_that_the_command_chooses_are_free(corpus_file: Path, tmp_path: Path) -> None:
    """Also if several start at the same moment."""
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "2", "--model", "dense")
    with ExitStack() as stack:
        started = [stack.enter_context(start_training(tmp_path, *arguments)) for _ in range(3)]
        for process in started:
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
    runs = list((tmp_path / "runs").iterdir())
    assert [read_state(run).state for run in runs] == ["done"] * 3
