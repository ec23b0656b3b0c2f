"""A run is resumed in as many processes as trained it, if there can be so many."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.scenes import make_run, records
from tinygpt.run import ResumeRecord, StartRecord
from tinygpt.run.settings import Stored, read_stored
from tinygpt_tui.launch import process_count, trainer_process


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_count, "usable_cpus", lambda: 8)


@pytest.mark.parametrize(
    ("before", "device", "gpus", "words"),
    [
        (1, "cuda", 4, []),
        (3, "cuda", 4, ["--gpus", "3"]),
        (8, "cuda", 4, ["--gpus", "4"]),
        (8, "cuda", 1, []),
        (16, "cpu", 4, ["--gpus", "8"]),
    ],
)
def test_as_many_as_before_or_as_there_can_be(
    before: int, device: str, gpus: int, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_count, "visible_ids", lambda: ["GPU"] * gpus)
    assert process_count.option(Stored({"device": device}, {}, before)) == words


def test_all_are_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_count, "visible_ids", lambda: ["GPU"] * 5)
    assert process_count.number("all") == 5
    assert process_count.number("3") == 3


def test_the_record_of_the_last_start_tells_unless_the_command_line_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, *others = records(30)
    assert isinstance(start, StartRecord)
    with make_run(tmp_path, "of-1", [start, *others]) as writer:
        assert read_stored(writer.path).processes == 1
    several = replace(start, processes=2)
    resumed = ResumeRecord(time=start.time, step=30, models={}, processes=3)
    with make_run(tmp_path, "of-3", [several, *others, resumed]) as writer:
        run = writer.path
        assert read_stored(run).processes == 3
    assert process_count.as_before(run) == ["--gpus", "3"]
    monkeypatch.setattr(trainer_process, "_OPTIONS", ["--gpus=2"])
    assert process_count.as_before(run) == []
    assert process_count.as_before(tmp_path / "nothing") == []
