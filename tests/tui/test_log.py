"""The log for bug reports."""

import os
from pathlib import Path

import pytest

from tinygpt_tui import log


def test_entries_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    log.note("one")
    log.note("two", ValueError("\ud800"))
    lines = log.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(" one")
    assert lines[1].endswith(" two")
    assert lines[2] == "ValueError: \\ud800"


def test_a_pipe_in_its_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    log.path().parent.mkdir()
    os.mkfifo(log.path())
    log.note("nobody reads this")
