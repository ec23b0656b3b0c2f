"""A new run; a mistake leaves nothing on disk."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.exactness import records
from tests.helpers.models import TEXT
from tests.helpers.training import SHAPE, make_session, stop_at, train_session
from tinygpt.checkpoint import load
from tinygpt.config import build
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.errors import ConfigError, CorpusError, RunError
from tinygpt.generation.decoding import generate
from tinygpt.generation.params import SamplingParams
from tinygpt.run import EvalRecord, MetricsReader, StartRecord, TrainRecord
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
        begin(build(SHAPE), Corpus("a", TEXT, "0", ""), str(tmp_path / "out"), "a/b", [])
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


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_subwords_are_trained_recorded_and_resumed_bit_for_bit(tmp_path: Path, kind: str) -> None:
    text = "día, 日本語 and a day, and another day. " * 71
    names: dict[str, Any] = {"tokenizer": kind, "vocab_size": 523, "train__sample_tokens": 5}
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    whole = make_session(tmp_path / "whole", text, **names)
    assert whole.tokenizer.kind == kind
    train_session(whole)
    stopped = make_session(tmp_path / "stopped", text, **names)
    train_session(stopped, interrupted=stop_at(7, stopped))
    train_session(resume(stopped.path, {}))
    for one in whole.learners:
        other = load(stopped.path / one.variant, step="newest")
        for name, weight in one.result.state_dict().items():
            assert torch.equal(weight, other.model.state_dict()[name])
        assert generate(other.model, other.tokenizer, "日", SamplingParams(max_new_tokens=3))
    items = list(MetricsReader(whole.path).read_all())
    (start,) = [item for item in items if isinstance(item, StartRecord)]
    assert start.tokenizer == {"kind": kind, "vocab_size": whole.tokenizer.vocab_size}
    first = next(item for item in items if isinstance(item, EvalRecord))
    bits = first.val_loss / math.log(2)
    assert first.bits_per_byte == pytest.approx(bits / whole.units.bytes_per_token)
    assert first.bits_per_char == pytest.approx(bits / whole.units.characters_per_token)


def test_a_split_with_too_few_tokens_is_refused_before_the_run_exists(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"validation split has \d tokens, .*use a longer text"):
        make_session(tmp_path, "and " * 30, tokenizer="bpe", vocab_size=300)
    assert not (tmp_path / "run").exists()
