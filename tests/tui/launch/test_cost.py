"""What a run will cost: exact counts, approximate memory, and only measured times."""

from pathlib import Path

import pytest

from tests.helpers.runs import make_run
from tinygpt.config import MoEConfig, build
from tinygpt_tui.launch import cost
from tinygpt_tui.monitor.summary import Summary, summary


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


@pytest.fixture
def measured(tmp_path: Path) -> cost.MeasuredRun:
    """A run of micro at 0.1 s per step."""
    make_run(tmp_path, "a", {"preset": "micro", "steps": 500}, "done", step=500, wall=50.0)
    found = cost.measured_run(summary(tmp_path / "a"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"steps": 700}, 70.0),
        ({"steps": 700, "minutes": 3.0}, 70.0),
        ({"steps": 10**6, "minutes": 3.0}, 180.0),
        ({"steps": 700, "gpt.layers": 3}, None),
        ({"steps": 700, "device": "cuda"}, None),
    ],
)
def test_time_is_known_from_a_run_of_the_same_shape(
    measured: cost.MeasuredRun, values: dict[str, object], seconds: float | None
) -> None:
    found = cost.measured_seconds(build({"preset": "micro", **values}), [measured])
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_time_without_a_measurement_is_unknown() -> None:
    assert cost.measured_seconds(build({"minutes": 3.0}), []) is None
    assert cost.measured_run(Summary()) is None
    of_later_version = Summary(settings={"gpt": {"width": "wide"}}, step=5, wall_seconds=1.0)
    assert cost.measured_run(of_later_version) is None


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
