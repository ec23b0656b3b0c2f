"""Disks that are full, read-only or slow, and deleted folders: reported, and nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.exactness import exact
from tests.helpers.fork_server import ForkServer
from tests.helpers.kills import AGAIN, BEGIN, check, finished, steps
from tests.helpers.models import TEXT
from tests.helpers.paths import ROOT
from tests.helpers.strace import trace
from tests.helpers.terminals import APP, Terminal, environment, find
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import MetricsReader, read_state

LONG = [*BEGIN, "--steps", "241", "--out", "runs"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, with a corpus in it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    (folder / "corpus.txt").write_text(TEXT)
    try:
        yield folder
    finally:
        subprocess.run([find("umount"), "-l", str(folder)], check=True)


@pytest.fixture
def trainer(disk: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts trainers on that disk."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, str(ROOT / "trainer.py"), *words],
                cwd=disk,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE)
        if process.stderr:
            process.stderr.close()


def moved(run: Path, beyond: int, process: "subprocess.Popen[str]") -> bool:
    """Whether more than `beyond` steps are recorded, or the process has ended."""
    return steps(run) > beyond or process.poll() is not None


def fill(disk: Path) -> Path:
    """Fill the disk to the last byte."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return filler


def reference(trainer: Callable[..., "subprocess.Popen[str]"], disk: Path, keep: Path) -> Path:
    """The same run without a fault, moved off the disk."""
    assert trainer(*LONG).wait() == 0
    shutil.move(disk / "runs", keep)
    return keep / "run"


def test_a_disk_that_is_full_for_a_while(
    disk: Path,
    tmp_path: Path,
    trainer: Callable[..., "subprocess.Popen[str]"],
    record_property: Callable[[str, object], None],
) -> None:
    undisturbed = reference(trainer, disk, tmp_path / "reference")
    run = disk / "runs" / "run"
    process = trainer(*LONG)
    until(lambda: steps(run) > 50)
    terminal = Terminal([*APP[:-1], str(disk / "runs")], tmp_path, 120, 36)
    try:
        for _ in range(3):
            filler = fill(disk)
            until(lambda: read_state(run).state == "paused", lambda: str(read_state(run)))
            assert (
                "No space left on device; training continues once there is space"
                in read_state(run).reason
            )
            terminal.sees("Paused", "No space left on device")
            check(run, also=("paused",))
            assert process.poll() is None
            held = steps(run)
            filler.unlink()
            until(partial(moved, run, held + 20, process))
            terminal.until(lambda: "Paused" not in terminal.header())
            if process.poll() is not None:
                break
        assert process.wait() == 0, process.communicate()
        terminal.sees("Done")
    finally:
        terminal.kill()
    finished(run, undisturbed)
    record_property("count full disks that were waited for", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_run_that_waits_for_disk_space(
    disk: Path,
    tmp_path: Path,
    trainer: Callable[..., "subprocess.Popen[str]"],
    number: signal.Signals,
) -> None:
    undisturbed = reference(trainer, disk, tmp_path / "reference")
    run = disk / "runs" / "run"
    process = trainer(*LONG)
    until(lambda: steps(run) > 50)
    filler = fill(disk)
    until(lambda: read_state(run).state == "paused")
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 1
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert read_state(run).state == "failed"
    filler.unlink()
    check_whole(run)
    assert trainer(*AGAIN, "--out", "runs").wait() == 0
    finished(run, undisturbed)


def check_whole(run: Path) -> None:
    """Like `check`, for a run that failed."""
    assert read_state(run).state in ("failed", "killed")
    reader = MetricsReader(run)
    assert reader.read()
    assert reader.skipped == 0


def test_a_disk_that_becomes_read_only(fork_server: ForkServer, tmp_path: Path) -> None:
    """From one call on, every call of its kind fails."""
    words = [*BEGIN, "--steps", "41", "--out", "runs"]
    assert fork_server.train(*words)[0] == 0
    (tmp_path / "runs").rename(tmp_path / "reference")
    run = tmp_path / "runs" / "run"
    for call, first in (("write", 60), ("fsync", 40), ("rename", 8), ("mkdir", 8)):
        refuse = ["-e", f"trace={call}", "-e", f"inject={call}:error=EROFS:when={first}+"]
        status, _ = trace(fork_server, words, *refuse)
        said = fork_server.said()
        if call != "write":  # else not even stderr is written
            assert "Read-only file system" in said, call
        assert "Traceback" not in said
        assert status == 1, (call, said)
        check(run, also=("failed",))
        assert fork_server.train(*AGAIN, "--out", "runs")[0] == 0, fork_server.said()
        finished(run, tmp_path / "reference" / "run")
        shutil.rmtree(run.parent)


def test_a_directory_that_is_deleted(
    disk: Path, tmp_path: Path, trainer: Callable[..., "subprocess.Popen[str]"]
) -> None:
    run = disk / "runs" / "run"
    process = trainer(*BEGIN, "--steps", "1000000", "--out", "runs")
    until(lambda: steps(run) > 50)
    terminal = Terminal([*APP[:-1], str(disk / "runs"), "run"], tmp_path, 80, 24)
    try:
        terminal.sees("Live")
        gone = run.with_name("gone")
        run.rename(gone)  # renamed first, as removing a folder takes a while
        shutil.rmtree(gone, ignore_errors=True)
        _, said = process.communicate()
        assert process.returncode == 1
        assert "No such file or directory" in said
        assert "Traceback" not in said
        assert not run.exists()
        terminal.sees("Unreadable")
        terminal.press("?")
        terminal.sees("│ Run", "space")
    finally:
        terminal.kill()


def test_a_disk_that_is_slow(fork_server: ForkServer, tmp_path: Path) -> None:
    """Each fsync takes 0.1 s longer."""
    short = [*BEGIN, "--steps", "7", "--out", "runs"]
    assert fork_server.train(*short)[0] == 0
    (tmp_path / "runs").rename(tmp_path / "reference")
    delay = ["-e", "trace=fsync", "-e", "inject=fsync:delay_enter=100000"]
    status, found = trace(fork_server, short, *delay)
    assert status == 0
    assert len(found) > 20
    finished(tmp_path / "runs" / "run", tmp_path / "reference" / "run")


def test_twenty_viewers(fork_server: ForkServer, tmp_path: Path) -> None:
    """All read the same records, and training ends as it does without them."""
    words = [*BEGIN, "--steps", "101", "--out", "runs"]
    assert fork_server.train(*words)[0] == 0
    (tmp_path / "runs").rename(tmp_path / "reference")
    run = tmp_path / "runs" / "run"
    viewers = [
        subprocess.Popen(
            [sys.executable, "-c", VIEWER, str(run)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    assert fork_server.train(*words)[0] == 0
    counts = {viewer.communicate()[0] for viewer in viewers}
    assert counts == {f"{len(MetricsReader(run).read())} done\n"}
    finished(run, tmp_path / "reference" / "run")
    assert exact(run)


VIEWER = """
import sys, time
from tinygpt.run import MetricsReader, read_state
reader, seen = MetricsReader(sys.argv[1]), 0
while True:
    state = read_state(sys.argv[1]).state
    seen += len(reader.read())
    if state == "done":
        break
    time.sleep(0.5)
print(seen, state)
"""
