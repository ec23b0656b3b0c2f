"""What a run will cost: exact counts and approximate memory."""

import pytest

from tinygpt.config import build
from tinygpt.model_config import MoEConfig
from tinygpt_tui.launch import cost


@pytest.mark.parametrize(("preset", "peak"), [("nano", 511 << 20), ("micro", 420 << 20)])
def test_memory_is_near_what_was_measured(preset: str, peak: int) -> None:
    assert cost.memory(build({"preset": preset})) == pytest.approx(peak, rel=0.1)


def test_parameters_are_the_model_s() -> None:
    config = build({"preset": "micro", "moe.experts": 7, "moe.top_k": 2})
    found = cost.parameters(config)
    assert list(found) == ["dense", "moe"]
    moe = config.model_config("moe", 65)
    assert moe.moe == MoEConfig(experts=7, top_k=2)
    assert found["moe"] == moe.parameters()


@pytest.mark.parametrize(("vocabulary", "matrices"), [(8191, 2), (8192, 1)])
def test_tied_embeddings_count_once(vocabulary: int, matrices: int) -> None:
    base = build({"tokenizer": "bpe", "vocab_size": 512, "model": "dense"})
    config = build({"tokenizer": "bpe", "vocab_size": vocabulary, "model": "dense"})
    more = cost.parameters(config)["dense"][0] - cost.parameters(base)["dense"][0]
    assert more == (matrices * vocabulary - 2 * 512) * config.gpt.width
    assert cost.memory(config) - cost.memory(base) > 16 * more


@pytest.mark.parametrize(
    ("device", "cuda", "gpu"),
    [("cpu", True, False), ("cuda", False, True), ("auto", True, True)],
)
def test_device(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    cuda: bool,  # noqa: FBT001
    gpu: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(cost, "_has_cuda", lambda: cuda)
    assert cost.uses_gpu(build({"device": device})) is gpu
    assert cost.default_preset() == ("baby" if cuda else "nano")


def test_short_bytes() -> None:
    assert [cost.short_bytes(n) for n in (5e8, 2.44e9, 28e9)] == ["500 MB", "2.4 GB", "28 GB"]
