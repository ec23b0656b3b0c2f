"""Whether a trainer lives: its lock, tested by viewers that do not take it, and its process."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers.namespaces import contained, holding, kill_inside
from tests.helpers.paths import ROOT
from tests.helpers.run_files import CONFIG
from tinygpt import run
from tinygpt.run.presence import boot_id, hold_lock, look_at_lock

pytestmark = pytest.mark.skipif(boot_id() is None, reason="kernels are told apart on Linux only")


def test_the_lock_ends_with_the_writer(folder: Path) -> None:
    file = folder / run.METRICS
    assert look_at_lock(file).state == "unknown"
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        held = look_at_lock(file)
        assert held.state == "held"
        status = run.read_status(folder)
        assert status is not None
        assert status.kernel is not None
        assert status.kernel.locked == held.file == (file.stat().st_dev, file.stat().st_ino)
        writer.status("running", 5)
        assert run.read_state(folder).state == "live"
    assert look_at_lock(file).state == "free"
    assert run.read_state(folder).state == "killed"  # at once, though this process lives


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    descriptors = [os.open(file, os.O_RDWR | os.O_CREAT) for _ in range(2)]
    assert hold_lock(descriptors[0], file) is not None
    with pytest.raises(BlockingIOError):
        hold_lock(descriptors[1], file)
    os.close(descriptors[0])
    assert hold_lock(descriptors[1], file) is not None
    os.close(descriptors[1])


def test_a_lock_that_cannot_be_seen_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    file.rename(tmp_path / "moved")
    file.touch()
    assert hold_lock(descriptor, file) is None
    os.close(descriptor)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may act as another user")
def test_another_user_without_permission_to_write_sees_the_lock() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        Path(name).chmod(0o755)
        path = Path(name, "run")
        with run.RunWriter.create(path, CONFIG, "{}"):
            try:
                os.seteuid(65534)
                with pytest.raises(PermissionError):
                    (path / run.METRICS).open("a")
                found = look_at_lock(path / run.METRICS).state, run.read_state(path).state
            finally:
                os.seteuid(0)
        assert found == ("held", "live")


VIEWER = """
import sys
from tinygpt.run import read_state
print("looking", flush=True)
while True:
    read_state(sys.argv[1])
"""


def test_no_viewer_makes_a_resume_fail(folder: Path) -> None:
    run.RunWriter.create(folder, CONFIG, "{}").close()
    viewers = [
        subprocess.Popen(
            [sys.executable, "-c", VIEWER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for viewer in viewers:
            assert viewer.stdout is not None
            viewer.stdout.readline()
        for _ in range(100):
            run.RunWriter.open(folder).close()
    finally:
        for viewer in viewers:
            viewer.kill()
            viewer.communicate()


@pytest.mark.parametrize("host", [None, "gone"])
def test_a_trainer_in_a_container(folder: Path, host: str | None) -> None:
    """Its pid is 1; its host name is the one here, or one that nobody has any more."""
    with holding(folder, contained(host)) as process:
        state = run.read_state(folder)
        assert state.status is not None
        assert state.status.pid == 1
        assert (state.status.host == os.uname().nodename) == (host is None)
        assert state.state == "live"
        assert run.read_state(folder, now=state.status.heartbeat + 86400).state == "live"
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy)
        kill_inside(process)
    state = run.read_state(folder)
    assert (state.state, state.reason) == ("killed", "Trainer (pid 1) died after step 5")
    run.RunWriter.open(folder).close()
    assert state.status is not None
    assert run.read_state(copy).state == "live"  # of a copy only the heartbeat can tell
    assert run.read_state(copy, now=state.status.heartbeat + 31).state == "stalled"


LOOK = "import sys; from tinygpt.run import read_state; print(read_state(sys.argv[1]).state)"


def test_the_host_is_seen_from_a_container(folder: Path) -> None:
    """By a viewer that cannot see the trainer's process."""
    words = [*contained("box"), sys.executable, "-c", LOOK, str(folder)]

    def seen() -> str:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        writer.status("running", 5)
        assert seen() == "live\n"
    assert seen() == "killed\n"
