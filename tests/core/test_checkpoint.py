"""Checkpoints: complete or absent, read back exactly."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.helpers.checkpoints import TOKENIZER, alter_tensor, is_in_bf16, snapshot
from tests.helpers.models import tiny
from tests.helpers.run_files import own_status
from tinygpt import checkpoint, load
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.tokenizer_file import save_tokenizer
from tinygpt.errors import CheckpointError, TinyGPTWarning
from tinygpt.model_config import TIED_FROM, MoEConfig
from tinygpt.run import checkpoint_dir
from tinygpt.run.checkpoints import Name, list_variant
from tinygpt.run.meta import TRAINING, WEIGHTS
from tinygpt.run.status import write_status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_tokenizer(TOKENIZER, tmp_path / "tokenizer.json")
    return tmp_path


def test_what_was_saved_is_restored(run: Path) -> None:
    saved = snapshot("moe")
    found = checkpoint.restore(checkpoint.save(run, saved))
    for before, after in ((saved.weights, found.weights), (saved.training, found.training)):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert (found.config, found.progress, found.tokens) == (saved.config, saved.progress, 77)


def test_a_checkpoint_holds_three_files(run: Path) -> None:
    folder = checkpoint.save(run, snapshot())
    assert folder == run / "dense" / "step-00000007"
    assert sorted(path.name for path in folder.iterdir()) == [
        "meta.json",
        "model.safetensors",
        "training.safetensors",
    ]
    assert [path.name for path in (run / "dense").iterdir()] == ["step-00000007"]


def test_load_by_step_variant_and_run(run: Path) -> None:
    checkpoint.save(run, snapshot(step=3, loss=1.6))
    checkpoint.save(run, snapshot(step=5, loss=1.7))
    checkpoint.save(run, snapshot("moe", step=5, loss=1.2))
    checkpoint.save(run, snapshot("moe", step=7, loss=1.9))
    assert [load(run / "dense" / f"step-0000000{step}").step for step in (3, 5)] == [3, 5]
    best = load(run / "dense")
    assert (best.step, best.val_loss, best.chosen_as) == (3, 1.6, "best")
    found = load(run)
    assert (found.variant, found.step, found.val_loss) == ("moe", 5, 1.2)
    assert found.tokenizer == TOKENIZER
    assert not found.model.training
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(found.model(ids), tiny(moe=MoEConfig(), seed=5).eval()(ids))


def test_load_the_newest_or_a_step(run: Path) -> None:
    for variant, losses in (("dense", (1.5, 1.75)), ("moe", (1.25, 2.0))):
        for step, loss in zip((3, 5), losses, strict=True):
            checkpoint.save(run, snapshot(variant, step, loss))
    newest, third = load(run, step="newest"), load(run, step=3)
    assert (newest.variant, newest.step, newest.chosen_as) == ("dense", 5, "newest")
    assert (third.variant, third.step, third.chosen_as) == ("moe", 3, None)
    assert load(run, step="best").path == third.path
    with pytest.raises(CheckpointError, match=r"of step 1,000: the nearest is that of step 5$"):
        load(run, step=1000)
    with pytest.raises(CheckpointError, match=r"is a single checkpoint: leave out step='best'"):
        load(third.path, step="best")
    with pytest.raises(CheckpointError, match=r"step='last' is not valid: it must be 'best'"):
        load(run, step="last")  # type: ignore[arg-type]


def test_a_live_run_is_followed(run: Path) -> None:
    for step in (3, 5):
        checkpoint.save(run, snapshot(step=step, loss=step / 2))
    write_status(run, own_status())
    assert (load(run).step, load(run).chosen_as) == (5, "newest")
    write_status(run, own_status(state="done"))
    assert (load(run).step, load(run).chosen_as) == (3, "best")


@pytest.mark.parametrize("name", ["model.safetensors", "meta.json"])
@pytest.mark.parametrize("which", [None, "best", "newest"])
def test_the_next_one_stands_in_for_a_damaged_one(run: Path, name: str, which: Name | None) -> None:
    for step in (3, 7, 9):
        checkpoint.save(run, snapshot(step=step, loss=2 - step / 10))
    file = run / "dense" / "step-00000009" / name
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    says = rf"^dense: step 9 cannot be used, so step 7 stands in: .*{name}"
    with pytest.warns(TinyGPTWarning, match=says):
        found = load(run, step=which)
    assert (found.step, found.chosen_as) == (7, which or "best")
    with pytest.raises(CheckpointError, match=name):
        load(run, step=9)


def test_where_all_are_damaged_the_first_is_named(run: Path) -> None:
    for step in (3, 5):
        (checkpoint.save(run, snapshot(step=step, loss=step / 2)) / WEIGHTS).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-00000003/model\.safetensors"):
        load(run)
    with pytest.raises(CheckpointError, match=r"step-00000005/model\.safetensors"):
        load(run, step="newest")


def test_the_first_models_had_no_convolution(run: Path) -> None:
    model = tiny(conv_size=1)
    weights = model.state_dict()
    path = checkpoint.save(run, replace(snapshot(), config=model.config, weights=weights))
    meta = json.loads((path / "meta.json").read_text())
    del meta["model"]["conv_size"]
    (path / "meta.json").write_text(json.dumps(meta))
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(load(path).model(ids), model.eval()(ids))


@pytest.mark.parametrize("moe", [None, MoEConfig()])
def test_tied_embeddings_are_stored_once(run: Path, moe: MoEConfig | None) -> None:
    model = tiny(moe=moe, tie_embeddings=True)
    saved = replace(snapshot(), config=model.config, weights=model.state_dict())
    path = checkpoint.save(run, saved)
    assert "head" not in safetensors.torch.load_file(path / WEIGHTS)
    assert json.loads((path / "meta.json").read_text())["model"]["tie_embeddings"] is True
    found = load(path).model
    assert found.head_weight is found.embed.weight
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(found(ids), model.eval()(ids))


def test_models_from_before_there_was_a_choice_have_a_head_of_their_own(run: Path) -> None:
    """Whatever the size of their vocabulary."""
    save_tokenizer(CharTokenizer([chr(0xF0000 + i) for i in range(TIED_FROM)]), run / "x")
    (run / "x").rename(run / "tokenizer.json")
    model = tiny(vocab_size=TIED_FROM, tie_embeddings=False)
    saved = replace(snapshot(), config=model.config, weights=model.state_dict())
    path = checkpoint.save(run, saved)
    meta = json.loads((path / "meta.json").read_text())
    del meta["model"]["tie_embeddings"]
    (path / "meta.json").write_text(json.dumps(meta))
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(load(path).model(ids), model.eval()(ids))
    assert checkpoint.restore(path).config == model.config


def test_load_where_nothing_is(run: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load(run / "nowhere")
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        load(run)
    with pytest.raises(CheckpointError, match=r"meta\.json"):
        load(run / "dense" / "step-00000003")


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "delete", "empty"])
def test_damage_is_found_and_the_one_before_is_taken(run: Path, name: str, damage: str) -> None:
    checkpoint.save(run, snapshot(step=3))
    file = checkpoint.save(run, snapshot(step=5)) / name
    data = file.read_bytes()
    middle = len(data) // 2
    match damage:
        case "delete":
            file.unlink()
        case "cut":
            file.write_bytes(data[:middle])
        case "empty":
            file.write_bytes(b"")
        case "flip" if name == "meta.json":
            file.write_bytes(data.replace(b'"sha256": "', b'"sha256": "0'))
        case "flip":
            file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    found, problems = checkpoint.newest_resumable(run, "dense")
    assert found.step == 3
    assert len(problems) == 1
    assert "step-00000005" in problems[0]


def test_nothing_left_to_resume(run: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint to resume from"):
        checkpoint.newest_resumable(run, "dense")
    (checkpoint.save(run, snapshot()) / "training.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"training\.safetensors"):
        checkpoint.newest_resumable(run, "dense")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"step": "7"},
        {"tokens": True},
        {"val_loss": "low"},
        {"model": {"layers": "many"}},
        {"model": {"colour": 3}},
        {"files": []},
        {"progress": None},
    ],
)
def test_strange_description(run: Path, change: dict[str, object]) -> None:
    file = checkpoint.save(run, snapshot()) / "meta.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"meta\.json"):
        load(run)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": "wide"}, "model.width 'wide' is not a whole number"),
        ({"width": 13}, "model.width 13 is not a multiple of model.heads 2: try model.width 14"),
        ({"heads": 4}, "model.width / model.heads is 3, but rotary embeddings need an even number"),
        ({"context": 1}, "model.context 1 is out of range: it must be at least 2"),
        ({"vocab_size": 1.5}, "model.vocab_size is 1.5: it must be at least 1"),
        ({"moe": {"top_k": 5}}, "model.moe.top_k is 5, but there are only 4 experts"),
        ({"moe": {"top_k": 3}}, "model.hidden 34 cannot be divided evenly among model.moe.top_k 3"),
        ({"moe": {"aux_loss": []}}, "model.moe.aux_loss [] is not a number"),
        ({"moe": {"gates": 3}}, "has an unknown key model.moe.gates"),
        ({"moe": [4]}, "has no valid 'model.moe'"),
        ({"colour": 3}, "has an unknown key model.colour"),
    ],
)
def test_errors_in_a_description_name_its_keys(
    run: Path, change: dict[str, object], says: str
) -> None:
    file = checkpoint.save(run, snapshot()) / "meta.json"
    meta = json.loads(file.read_text())
    meta["model"].update(change)
    file.write_text(json.dumps(meta))
    with pytest.raises(CheckpointError) as error:
        load(run)
    assert str(error.value).startswith(f"{file} ")
    assert says in str(error.value)
    assert "--" not in str(error.value)


def test_weights_of_another_shape(run: Path) -> None:
    file = checkpoint.save(run, snapshot()) / "meta.json"
    meta = json.loads(file.read_text())
    meta["model"]["layers"] = 2
    file.write_text(json.dumps(meta))
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load(run)


def test_tokenizer_of_another_run(run: Path) -> None:
    checkpoint.save(run, snapshot())
    save_tokenizer(CharTokenizer.train("abc"), run / "tokenizer.json")
    with pytest.raises(CheckpointError, match="13 tokens"):
        load(run)


def test_a_pickle_is_not_loaded(run: Path) -> None:
    folder = checkpoint.save(run, snapshot())
    torch.save(dict(snapshot().weights), folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not the file that was saved"):
        load(run)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(run: Path, number: str) -> None:
    file = checkpoint.save(run, snapshot()) / "meta.json"
    file.write_text(file.read_text().replace('"step": 7', f'"step": 7, "train_seconds": {number}'))
    for read in (load, checkpoint.restore):
        with pytest.raises(
            CheckpointError, match=rf"meta\.json .*: {number} is not a finite number"
        ):
            read(file.parent)


DAMAGED = [
    (lambda x: x.to(torch.int64), "is int64, not floating-point numbers"),
    (lambda x: x > 0, "is bool, not floating-point numbers"),
    (lambda x: x.fill_(torch.nan), "has a number that is not finite"),
    (lambda x: x.flatten().index_fill(0, torch.tensor(3), torch.inf).view_as(x), "is not finite"),
    (lambda x: x.double().fill_(1e300), "is not finite"),  # as it would be in fp32
]


@pytest.mark.parametrize(("damage", "says"), DAMAGED)
def test_weights_that_no_training_saves_are_refused(
    run: Path, damage: Callable[[Tensor], Tensor], says: str
) -> None:
    checkpoint.save(run, snapshot(step=3))
    folder = checkpoint.save(run, snapshot(step=5))
    name = "blocks.1.attention.value"
    alter_tensor(folder, WEIGHTS, name, damage(snapshot(step=5).weights[name].clone()))
    with pytest.raises(CheckpointError, match=rf"model\.safetensors is damaged: {name} .*{says}"):
        load(folder)
    found, problems = checkpoint.newest_resumable(run, "dense")
    assert found.step == 3
    assert says in problems[0]


@pytest.mark.parametrize(("damage", "says"), DAMAGED)
def test_damaged_training_state_stops_a_resume_and_no_viewer(
    run: Path, damage: Callable[[Tensor], Tensor], says: str
) -> None:
    folder = checkpoint.save(run, snapshot())
    name = "muon.0.momentum"
    alter_tensor(folder, TRAINING, name, damage(torch.ones(3, 5)))
    assert load(folder).step == 7
    with pytest.raises(
        CheckpointError, match=rf"training\.safetensors is damaged: {name} .*{says}"
    ):
        checkpoint.restore(folder)


def test_what_is_read_may_be_refused_by_its_user(run: Path) -> None:
    for step in (3, 5):
        checkpoint.save(run, snapshot(step=step))

    def use(found: checkpoint.Snapshot) -> None:
        if found.step == 5:
            raise CheckpointError("not this one")

    found, problems = checkpoint.newest_resumable(run, "dense", use)
    assert (found.step, problems) == (3, ["not this one"])


def test_weights_alone_are_in_bf16_and_load_as_fp32(run: Path) -> None:
    saved = snapshot("moe")
    folder = checkpoint.save(run, saved, weights_only=True)
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "model.safetensors"]
    assert is_in_bf16(folder)
    found = load(folder)
    assert (found.step, found.val_loss) == (7, 1.5)
    for name, tensor in found.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, saved.weights[name].bfloat16().float())
    assert list_variant(run, "moe").problems == {}


def test_a_resume_passes_over_weights_alone(run: Path) -> None:
    for step in (3, 5, 7):
        checkpoint.save(run, snapshot(step=step), weights_only=step != 3)
    found, problems = checkpoint.newest_resumable(run, "dense")
    assert (found.step, problems) == (3, [])
    (checkpoint_dir(run, "dense", 7) / "meta.json").write_text("{}")
    assert len(checkpoint.newest_resumable(run, "dense")[1]) == 1


def test_a_checkpoint_is_reduced_to_what_a_snapshot_is(run: Path) -> None:
    expected = checkpoint.save(run, snapshot(step=5), weights_only=True)
    whole = {file.name: file.read_bytes() for file in expected.iterdir()}
    folder = checkpoint.save(run, snapshot(step=5))
    (folder / TRAINING).unlink()
    checkpoint.reduce_to_weights(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    files = {file: file.stat().st_ino for file in folder.iterdir()}
    checkpoint.reduce_to_weights(folder)
    assert {file: file.stat().st_ino for file in folder.iterdir()} == files


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_kill_while_a_checkpoint_is_reduced_leaves_it_whole(
    run: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """After any number of the three replaced files it loads, and is reduced the next time."""
    folder, replace_file = checkpoint.save(run, snapshot(step=5)), os.replace
    done: list[Path] = []
    (folder / TRAINING).unlink()

    def killed(source: Path, target: Path) -> None:
        if len(done) == writes:
            Path(f"{target}").with_name(".model.safetensors.0123abcd.tmp").write_bytes(b"torn")
            raise KeyboardInterrupt
        done.append(target)
        replace_file(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.reduce_to_weights(folder)
    assert load(folder).step == 5
    assert list_variant(run, "dense").problems == {}
    assert is_in_bf16(folder) == (writes == 2)
    checkpoint.reduce_to_weights(folder)
    assert is_in_bf16(folder)
    assert load(folder).step == 5
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "model.safetensors"]
    assert json.loads((folder / "meta.json").read_text())["files"].keys() == {WEIGHTS}


def test_a_damaged_checkpoint_is_not_reduced(run: Path) -> None:
    folder = checkpoint.save(run, snapshot(step=5))
    (folder / WEIGHTS).write_bytes(b"no")
    with pytest.raises(CheckpointError, match="is not the file that was saved"):
        checkpoint.reduce_to_weights(folder)
    assert (folder / WEIGHTS).read_bytes() == b"no"
