"""The progress on a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.helpers.trainer import SHAPE, command, environment
from tests.helpers.waiting import PATIENCE
from tinygpt.command.display import terminal_columns


def test_progress_bars_on_a_terminal(corpus_file: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ("--data", str(corpus_file), *SHAPE, "--steps", "200", "--name", "a")
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        drawn = b""
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                drawn += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        process.communicate()
    os.close(ours)
    assert process.returncode == 0
    text = drawn.decode()
    assert "\x1b[" in text
    assert "step 200" in text
    for word in ("dense", "moe", "loss", "val", "ppl", "tok/s", "left"):
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
