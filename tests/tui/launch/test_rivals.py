"""The runs that a new one would share the machine with."""

import json
from pathlib import Path

import pytest

from tests.helpers.runs import make_run
from tinygpt.gpus import Gpu
from tinygpt.run import STATUS, list_runs
from tinygpt.run.queue import Queued
from tinygpt_tui.launch import rivals as module
from tinygpt_tui.launch.rivals import has_own_gpu, rivals, to_wait_for


def test_rivals_are_the_active_runs_on_this_machine(tmp_path: Path) -> None:
    make_run(tmp_path, "done", {}, "done")
    make_run(tmp_path, "live", {}, "live", ago=20)
    make_run(tmp_path, "newer", {}, "live", ago=10)
    elsewhere = make_run(tmp_path, "elsewhere", {}, "live") / STATUS
    elsewhere.write_text(json.dumps({**json.loads(elsewhere.read_text()), "host": "another"}))
    assert [run.name for run in rivals(tmp_path)] == ["newer", "live"]
    assert to_wait_for(rivals(tmp_path)).name == "newer"
    assert rivals(tmp_path / "none") == []
    assert rivals(tmp_path / "live" / STATUS) == [], "the start of the run reports it"


def test_a_new_run_waits_for_the_last_of_the_queue(tmp_path: Path) -> None:
    live = make_run(tmp_path, "live", {}, "live")
    first = Queued(tmp_path / "first", live, [])
    second = Queued(tmp_path / "second", tmp_path / "first", [])
    assert len(rivals(tmp_path)) == 3
    assert to_wait_for(rivals(tmp_path)).name == "second"
    second.cancel()
    assert to_wait_for(rivals(tmp_path)).name == "first"
    first.cancel()
    assert to_wait_for(rivals(tmp_path)).name == "live"


@pytest.mark.parametrize(
    ("device", "busy", "step", "own"),
    [
        ("auto", (True, False), 7, True),
        ("cuda", (True, False), 7, True),
        ("auto", (True, True), 7, False),
        ("auto", (True, False), 0, False),  # the other run may be about to take that one
        ("cpu", (True, False), 7, False),
        ("cuda:0", (True, False), 7, False),
    ],
)
@pytest.mark.usefixtures("_two_gpus")
def test_an_idle_gpu_is_a_machine_of_its_own(
    tmp_path: Path, device: str, busy: tuple[bool, bool], step: int, own: object
) -> None:
    BUSY[:] = busy
    make_run(tmp_path, "live", {}, "live", step=step)
    assert has_own_gpu(device, list_runs(tmp_path)) is own


BUSY = [False, False]


@pytest.fixture
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_gpus() -> list[Gpu]:
        return [
            Gpu(name="H100", percent=100.0 * busy, memory_used=0, memory_total=1 << 36)
            for busy in BUSY
        ]

    monkeypatch.setattr(module, "read_gpus", read_gpus)
    monkeypatch.setattr(module, "likely_device", lambda name: "cuda" if name == "auto" else name)
