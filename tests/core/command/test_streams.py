"""Closed and full streams, and a terminal or pipe that is closed later, do not end a training."""

import os
import pty
import sys
from pathlib import Path

import pytest

from tests.helpers.redirected import redirected
from tests.helpers.trainer import SHAPE, command, environment, has_taken, steps_taken
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.command import streams
from tinygpt.run import read_state


def test_nobody_listens_any_more(corpus_file: Path, tmp_path: Path) -> None:
    """The terminal or pipe that showed the progress is closed: training continues to its end."""
    path = tmp_path / "runs" / "a"
    arguments = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "60")
    ours, theirs = pty.openpty()
    with running(
        command(*arguments), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        until(lambda: has_taken(path, 3), process=process)
        os.close(ours)
        process.wait(PATIENCE)
    assert process.returncode == 0
    assert read_state(path).state == "done"


@pytest.mark.parametrize("how", ["2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_from_the_start(
    corpus_file: Path, tmp_path: Path, how: str
) -> None:
    """Nothing is printed into a file of the run that took a closed descriptor."""
    path = tmp_path / "runs" / "a"
    words = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "21")
    done = redirected(command(*words), how, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"validation loss" in done.stdout) == (">&-" not in how.split())
    assert read_state(path).state == "done"
    assert steps_taken(path) == 21
    log = (path / "train.log").read_text("utf-8").splitlines()
    assert [line.split()[0] for line in log] == ["dense", "moe"] * 2 + ["done:"]


def test_a_closed_stream_becomes_dev_null_here_and_in_children(tmp_path: Path) -> None:
    """Each of them keeps its own descriptor, which a file opened later cannot take."""
    child = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3)])"
    body = "; ".join(
        (
            "import subprocess, sys",
            "from tinygpt.command.streams import prepare_streams",
            "prepare_streams()",
            "print('lost', file=sys.stderr)",
            "file = open('new', 'w')",
            "print(file.fileno() > 2, sys.stdin.read() == '', flush=True)",
            f"subprocess.run([sys.executable, '-c', {child!r}])",
        )
    )
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc here")
    done = redirected([sys.executable, "-c", body], "<&- 2>&-", tmp_path)
    first, second = done.stdout.decode().splitlines()
    assert first == "True True"
    assert second.startswith("['/dev/null', 'pipe:")
    assert second.endswith("'/dev/null']")
    assert (tmp_path / "new").read_bytes() == b""


def test_what_stderr_refuses_is_dropped_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or Python would exit with a status of its own."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        streams.say("lost")
        streams._drop_what_stderr_refuses()
    # Closing would have failed, had the text still been there.
    assert full.closed
