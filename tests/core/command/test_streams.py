"""A closed terminal or pipe does not end a training."""

import os
import pty
import subprocess
from pathlib import Path

from tests.helpers.trainer import SHAPE, command, environment, steps_taken
from tests.helpers.waiting import until
from tinygpt.run import read_state


def test_nobody_listens_any_more(corpus_file: Path, tmp_path: Path) -> None:
    """The terminal or pipe that showed the progress is closed: training continues to its end."""
    path = tmp_path / "runs" / "a"
    arguments = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "60")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        until(lambda: path.is_dir() and steps_taken(path) >= 3)
        os.close(ours)
    assert process.returncode == 0
    assert read_state(path).state == "done"
