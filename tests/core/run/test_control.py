"""Requests to a trainer."""

import os
from pathlib import Path
from typing import Any

import pytest

from tinygpt import run
from tinygpt.errors import RunError


def test_requests_are_polled_and_consumed(folder: Path) -> None:
    folder.mkdir()
    now = [0.0]
    control = run.Control(folder, clock=lambda: now[0])
    assert control.poll() == set()
    run.request(folder, "stop")
    run.request(folder, "checkpoint")
    run.request(folder, "checkpoint")
    run.request(folder, "pause")
    (folder / run.CONTROL / "unknown").touch()
    now[0] += 0.19
    assert control.poll() == set()
    now[0] += 0.02
    assert control.poll() == {"stop", "checkpoint", "pause"}
    control.acknowledge("checkpoint")
    control.acknowledge("pause")
    assert control.poll() == {"stop", "pause"}
    control.acknowledge("stop")
    now[0] += 1
    assert control.poll() == {"pause"}
    run.request(folder, "resume")
    run.request(folder, "resume")
    now[0] += 1
    assert control.poll() == set()


def test_poll_lists_the_folder_at_most_five_times_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    real = os.scandir

    def count(path: Path) -> Any:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", count)
    now = [0.0]
    control = run.Control(folder, clock=lambda: now[0])
    for tick in range(1000):
        now[0] = tick / 1000
        control.poll()
    assert len(listed) == 5


def test_a_silent_disk_keeps_the_last_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    run.request(folder, "pause")
    control = run.Control(folder, every=0)
    assert control.poll() == {"pause"}

    def stale(_path: Path) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "scandir", stale)
    assert control.poll() == {"pause"}


def test_bad_requests(folder: Path) -> None:
    with pytest.raises(RunError, match="one of pause, resume, stop, checkpoint"):
        run.request(folder, "../stop")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="cannot ask for stop"):
        run.request(folder, "stop")
