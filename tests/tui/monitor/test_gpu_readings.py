"""The bounded series of GPU readings."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.helpers.records import lockstep, train
from tinygpt.gpus import Gpu
from tinygpt.run import ResumeRecord
from tinygpt.run.columns import group
from tinygpt_tui.monitor import gpu_readings
from tinygpt_tui.monitor.gpu_readings import GpuReading, GpuReadings
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine

GPU = Gpu(name="a", percent=83.0, memory_used=11, memory_total=44, celsius=None, watts=None)
MACHINE = Machine(cpu_percent=None, cpus=2, memory_used=None, memory_total=None, gpus=(GPU,))


def made(last: int) -> History:
    history = History()
    history.add(lockstep(last))
    return history


def test_a_reading_is_in_percent_at_the_latest_step() -> None:
    readings = GpuReadings()
    readings.add(MACHINE, History())
    readings.add(replace(MACHINE, gpus=()), made(7))
    assert readings.values == []
    readings.add(MACHINE, made(7))
    assert readings.values == [GpuReading(7, 3.5, (83.0,), (25.0,))]
    unknown = replace(GPU, percent=None, memory_total=None)
    readings.add(replace(MACHINE, gpus=(GPU, unknown)), made(8))
    assert readings.values[1].load[0] == 83.0
    assert math.isnan(readings.values[1].load[1])
    assert math.isnan(readings.values[1].memory[1])


def test_a_full_series_is_thinned_over_its_whole_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_readings, "LIMIT", 16)
    readings, history = GpuReadings(), made(1)
    for step in range(2, 402):
        history.add(group([train("moe", step)]))
        readings.add(MACHINE, history)
        assert len(readings.values) <= 16
    steps = [reading.step for reading in readings.values]
    assert steps[0] == 2
    assert steps[-1] > 370
    distances = {after - before for before, after in pairwise(steps)}
    assert max(distances) <= 64


def test_readings_of_steps_that_a_resume_takes_back_go() -> None:
    readings, history = GpuReadings(), made(3)
    readings.add(MACHINE, history)
    history.add(group([train(m, s) for s in (4, 5) for m in ("dense", "moe")]))
    readings.add(MACHINE, history)
    history.add([ResumeRecord(time=2.0, step=3, models={"dense": 3, "moe": 3})])
    history.add(group([train("dense", 4), train("moe", 4)]))
    readings.add(MACHINE, history)
    assert [reading.step for reading in readings.values] == [3, 4]
