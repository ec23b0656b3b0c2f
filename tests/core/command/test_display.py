"""The progress on a terminal."""

import os
import pty
import select
import subprocess
from pathlib import Path

from tests.helpers.trainer import SHAPE, command, environment
from tests.helpers.waiting import PATIENCE


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
