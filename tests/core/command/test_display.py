"""The progress on a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.helpers.terminals import shown_on
from tests.helpers.trainer import SHAPE, command, environment
from tests.helpers.waiting import PATIENCE, running
from tinygpt.command.display import terminal_columns


def test_progress_bars_on_a_terminal(corpus_file: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "41", "--name", "a")
    with running(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        text = shown_on(ours)
        os.close(ours)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "\x1b[" in text
    assert "step 41" in text
    for word in ("dense", "moe", "train", "val", "ppl", "tok/s", "left"):
        assert word in text
    assert "dense step" in (tmp_path / "runs" / "a" / "train.log").read_text()


def test_bars_are_as_wide_as_the_terminal_whatever_was_exported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "200")
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert terminal_columns() == 200  # its size is 0 x 0
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
        assert terminal_columns() == 90
