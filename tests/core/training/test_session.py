"""A new run; a mistake leaves nothing on disk."""

import hashlib
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.exactness import records
from tests.helpers.models import TEXT
from tests.helpers.training import SHAPE, make_session, stop_at, train_session
from tinygpt import model_config
from tinygpt.checkpoint import load
from tinygpt.config import build
from tinygpt.data import encoding
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.errors import ConfigError, CorpusError, RunError
from tinygpt.generation.decoding import generate
from tinygpt.generation.params import SamplingParams
from tinygpt.run import EvalRecord, MetricsReader, StartRecord, TrainRecord, read_config
from tinygpt.training import begin, resume, session
from tinygpt.training.session import choose_devices


def test_nothing_is_made_for_a_mistake(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("abc" * 5)
    with pytest.raises(CorpusError, match="15 characters"):
        begin(build(SHAPE), read_text(short), str(tmp_path / "out"), "run", [])
    with pytest.raises(ConfigError, match=r"--train\.sample-prompt"):
        make_session(tmp_path, train__sample_prompt="é")
    with pytest.raises(RunError, match="cannot name a run"):
        begin(build(SHAPE), Corpus.of("a", TEXT, ""), str(tmp_path / "out"), "a/b", [])
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "second", "expected"),
    [
        ({}, "cuda:0", {"dense": "cuda:2", "moe": "cuda:0"}),
        ({"device": "cuda"}, "cuda:0", {"dense": "cuda:2", "moe": "cuda:0"}),
        ({}, None, {"dense": "cuda:2", "moe": "cuda:2"}),
        ({"device": "cuda:2"}, "cuda:0", {"dense": "cuda:2", "moe": "cuda:2"}),
        ({"model": "moe"}, "cuda:0", {"moe": "cuda:2"}),
    ],
)
def test_two_variants_get_a_gpu_each(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, object],
    second: str | None,
    expected: dict[str, str],
) -> None:
    """If there is one that nobody uses, and the choice of the GPU is left to the trainer."""
    monkeypatch.setattr(session, "choose_device", lambda *_: "cuda:2")
    monkeypatch.setattr(session, "another_idle_gpu", lambda first: second)
    assert choose_devices(build(values)) == expected


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (
            "CUDA error: all devices are busy\nmore",
            r"--device \w+ cannot be used \(CUDA .* busy\):",
        ),
        ("CUDA out of memory. Tried", r"parameters \(dense\) do not fit .* \(this process uses"),
    ],
)
def test_a_device_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str, says: str
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(raised)

    monkeypatch.setattr(session, "choose_device", lambda *_: "mps")
    monkeypatch.setattr(session, "Learner", broken)
    with pytest.raises(ConfigError, match=says):
        make_session(tmp_path)
    assert not (tmp_path / "run").exists()


def losses(folder: Path, **changes: object) -> dict[tuple[str, int], float]:
    """Those of twenty steps in fp32, by variant and step."""
    folder.mkdir()
    train_session(
        make_session(folder, steps=20, gpt__dropout=0.0, train__precision="fp32", **changes)
    )
    found = [record for record in records(folder / "run") if isinstance(record, TrainRecord)]
    return {(record.model, record.step): record.loss for record in found}


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_learns_what_the_cpu_learns(tmp_path: Path, *, compiled: bool) -> None:
    """Loss falls by 0.13 in these steps. A GPU adds in another order: on a CPU, initial weights
    that differ by 1e-4 of themselves change no loss by more than 2e-5."""
    on_cpu = losses(tmp_path / "cpu", device="cpu")
    on_gpu = losses(tmp_path / "gpu", device="cuda", train__compile=compiled)
    assert len(on_cpu) == 40
    assert on_gpu == pytest.approx(on_cpu, abs=1e-3)


BRIEF = {"steps": 8, "train__snapshots": 0}


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_subwords_are_trained_recorded_and_resumed_bit_for_bit(tmp_path: Path, kind: str) -> None:
    text = "día, 日本語 and a day, and another day. " * 71
    names: dict[str, Any] = {"tokenizer": kind, "vocab_size": 523, **BRIEF}
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    whole = make_session(tmp_path / "whole", text, **names)
    assert whole.tokenizer.kind == kind
    train_session(whole)
    stopped = make_session(tmp_path / "stopped", text, **names)
    train_session(stopped, interrupted=stop_at(5, stopped))
    train_session(resume(stopped.path, {}))
    for one in whole.learners:
        other = load(stopped.path / one.variant, step="newest")
        for name, weight in one.result.state_dict().items():
            assert torch.equal(weight, other.model.state_dict()[name])
        assert generate(other.model, other.tokenizer, "日", SamplingParams(max_new_tokens=3))
    items = list(MetricsReader(whole.path).read_all())
    (start,) = [item for item in items if isinstance(item, StartRecord)]
    sha256 = hashlib.sha256((whole.path / "tokenizer.json").read_bytes()).hexdigest()
    size = whole.tokenizer.vocab_size
    assert start.tokenizer == {"kind": kind, "vocab_size": size, "sha256": sha256}
    first = next(item for item in items if isinstance(item, EvalRecord))
    bits = first.val_loss / math.log(2)
    assert first.bits_per_byte == pytest.approx(bits / whole.units.bytes_per_token)
    assert first.bits_per_char == pytest.approx(bits / whole.units.characters_per_token)


def test_tied_embeddings_are_said_stored_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(set(TEXT))
    monkeypatch.setattr(model_config, "TIED_FROM", size)
    made = make_session(tmp_path, **BRIEF)
    assert made.notes == [f"tied embeddings, for a vocabulary of {size} tokens"]
    assert all(learner.model.head is None for learner in made.learners)
    train_session(made, interrupted=stop_at(5, made))
    assert read_config(made.path)["gpt"]["tie_embeddings"] is True
    monkeypatch.undo()
    resumed = resume(made.path, {})
    assert all(learner.model.head is None for learner in resumed.learners)
    assert train_session(resumed).state == "done"
    assert resumed.notes == []


def test_a_small_vocabulary_is_not_tied_and_nothing_is_said(tmp_path: Path) -> None:
    made = make_session(tmp_path)
    with made.writer:
        assert made.notes == []
        assert read_config(made.path)["gpt"]["tie_embeddings"] is False


def test_a_split_with_too_few_tokens_is_refused_before_the_run_exists(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"validation split has \d tokens, .*use a longer text"):
        make_session(tmp_path, "and " * 30, tokenizer="bpe", vocab_size=300)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("large", [False, True])
def test_documents_and_another_validation_text_are_trained_on_and_resumed_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    """Whether in memory or in files of the token cache, which may be gone."""
    monkeypatch.setenv("TINYGPT_CACHE", str(tmp_path / "cache"))
    if large:
        monkeypatch.setattr(encoding, "SMALL", 0)
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("one", "two", "three"):
        (texts / f"{name}.txt").write_text(TEXT[: 300 + len(name)])
    other = tmp_path / "other.txt"
    other.write_text(TEXT[::-1])
    values = {**SHAPE, "data": str(texts), "val_data": str(other), "tokenizer": "bpe", "steps": 8}
    sessions = {}
    for name in ("whole", "stopped"):
        sessions[name] = begin(
            build({**values, "vocab_size": 300}),
            read_text(texts),
            str(tmp_path),
            name,
            [],
            validation=read_text(other),
        )
    end = sessions["whole"].tokenizer.end_of_text
    assert end == sessions["whole"].tokenizer.vocab_size - 1
    assert sessions["whole"].batches.tokens.tolist().count(end) == 3
    train_session(sessions["whole"])
    train_session(sessions["stopped"], interrupted=stop_at(5, sessions["stopped"]))
    if large:
        shutil.rmtree(tmp_path / "cache")
    stored = read_config(tmp_path / "stopped")
    assert stored["corpus"]["documents"] == 3
    assert stored["corpus"]["val_sha256"] == hashlib.sha256(other.read_bytes()).hexdigest()
    train_session(resume(tmp_path / "stopped", {}))
    for one in sessions["whole"].learners:
        found = load(tmp_path / "stopped" / one.variant, step="newest")
        for name, weight in one.result.state_dict().items():
            assert torch.equal(weight, found.model.state_dict()[name])
    other.write_text(TEXT)
    with pytest.raises(CorpusError, match=r"resume --val-data PATH"):
        resume(tmp_path / "stopped", {"steps": 20})


def test_generation_stops_at_the_end_of_a_text(tmp_path: Path) -> None:
    """A model that has learned documents of one letter ends after that letter."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "a"}\n{"text": "b"}\n' * 200)
    values = {**SHAPE, "data": str(texts), "steps": 60, "gpt.dropout": 0.0, "model": "dense"}
    values |= {"train.eval_every": 60, "train.checkpoint_every": 0}
    made = begin(build(values), read_text(texts), str(tmp_path), "run", [])
    train_session(made)
    found = load(tmp_path / "run")
    params = SamplingParams(max_new_tokens=50, seed=1)
    assert {generate(found.model, found.tokenizer, prompt, params) for prompt in "ab"} == {""}
    assert generate(found.model, found.tokenizer, "", params) in {"a", "b"}
