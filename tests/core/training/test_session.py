"""A new run; a mistake leaves nothing on disk."""

from pathlib import Path

import pytest

from tests.helpers.exactness import records
from tests.helpers.models import TEXT
from tests.helpers.training import SHAPE, make_session, train_session
from tinygpt.config import build
from tinygpt.data.corpus import Corpus, read_text
from tinygpt.errors import ConfigError, CorpusError, RunError
from tinygpt.run import TrainRecord
from tinygpt.training import begin, session
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
