"""What a run will cost: counts exactly, the rest within what "about" may mean."""

from pathlib import Path

import pytest

from tests.helpers.runs import make_run
from tinygpt.config import MoEConfig, build
from tinygpt_tui.launch import cost as costs
from tinygpt_tui.monitor.machine import process_usage, read_machine
from tinygpt_tui.monitor.summary import summary

REFERENCE = 226e9
"""FLOP/s of the machine that docs/benchmarks.md was measured on."""


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "uses_gpu", lambda config: config.device == "cuda")


@pytest.mark.parametrize(("preset", "minutes"), [("nano", 5), ("micro", 12)])
def test_time_is_near_what_was_measured(preset: str, minutes: float) -> None:
    found = costs.estimate(costs.preset_config(preset), REFERENCE)
    assert found.seconds == pytest.approx(60 * minutes, rel=0.15)
    assert not found.is_measured


@pytest.mark.parametrize(("preset", "peak"), [("nano", 511 << 20), ("micro", 420 << 20)])
def test_memory_is_near_what_was_measured(preset: str, peak: int) -> None:
    assert costs.memory(costs.preset_config(preset)) == pytest.approx(peak, rel=0.1)


def test_parameters_are_the_model_s() -> None:
    config = build({"preset": "micro", "moe.experts": 7, "moe.top_k": 2})
    found = costs.estimate(config).parameters
    assert list(found) == ["dense", "moe"]
    moe = config.model_config("moe", 65)
    assert moe.moe == MoEConfig(experts=7, top_k=2)
    assert found["moe"] == moe.parameters()


def test_time_without_a_measurement_is_not_made_up() -> None:
    assert costs.estimate(build({})).seconds is None
    assert costs.estimate(build({"device": "cuda"}), REFERENCE).seconds is None


def test_minutes_end_a_run() -> None:
    assert costs.estimate(build({"minutes": 3.0})).seconds == 180
    both = build({"minutes": 3.0, "steps": 10**6})
    assert costs.estimate(both, REFERENCE).seconds == 180


def test_a_run_of_the_same_shape_is_believed(tmp_path: Path) -> None:
    make_run(tmp_path, "a", {"preset": "micro", "steps": 500}, "done", step=500, wall=50.0)
    rate = costs.measured_rate(summary(tmp_path / "a"))
    assert rate is not None
    rates = [rate]
    found = costs.estimate(build({"preset": "micro", "steps": 700}), REFERENCE, rates)
    assert found.is_measured
    assert found.seconds == pytest.approx(70.0)
    other = build({"preset": "micro", "steps": 700, "gpt.layers": 3})
    assert not costs.estimate(other, REFERENCE, rates).is_measured


def test_speed_is_measured_quickly() -> None:
    assert costs.machine_speed() > 1e8
    assert costs.machine_speed() == costs.machine_speed()


def test_words() -> None:
    times = [costs.about_time(t) for t in (None, 5, 91, 305, 7200, 3e5)]
    assert times == ["", "about 5 s", "about 1.5 min", "about 5 min", "about 2 h", "about 3 days"]
    counts = [costs.short_count(n) for n in (999, 110_464, 805_632, 10_700_000, 1.5e9)]
    assert counts == ["999", "0.11 M", "0.81 M", "11 M", "1.50 B"]
    assert [costs.short_bytes(n) for n in (5e8, 2.44e9, 28e9)] == ["500 MB", "2.4 GB", "28 GB"]


def test_machine_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_machine()
    assert found.memory_total is not None
    assert found.memory_used is not None
    assert 0 < found.memory_used < found.memory_total
    import psutil  # type: ignore[import-untyped,unused-ignore]

    def broken() -> None:
        raise PermissionError("/proc is closed")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    assert read_machine().memory_total is None


def test_usage_of_a_process() -> None:
    import os

    first, second = process_usage(os.getpid()), process_usage(os.getpid())
    assert first is not None
    assert second is not None
    assert second.rss > 1 << 20
    assert second.cpu_percent is not None
    assert process_usage(2**22 + 1) is None
