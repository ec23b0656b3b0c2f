"""One process at a time holds a folder."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import python_path
from tinygpt.files.folder_lock import sole_holder

OTHER = """
import sys
from tinygpt.files.folder_lock import sole_holder
with sole_holder(sys.argv[1]) as alone:
    print(alone)
"""


def in_another_process(folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", OTHER, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": python_path()},
    ).stdout.strip()


def test_only_one_holds_a_folder(tmp_path: Path) -> None:
    with sole_holder(tmp_path) as alone:
        assert alone
        assert in_another_process(tmp_path) == "False"
        with sole_holder(tmp_path) as again:
            assert not again
    assert in_another_process(tmp_path) == "True"


def test_the_lock_ends_with_an_error_of_the_block(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), sole_holder(tmp_path):
        raise BlockingIOError
    assert in_another_process(tmp_path) == "True"


def test_a_disk_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with sole_holder(tmp_path) as alone:
        assert alone


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), sole_holder(tmp_path / "none"):
        pass
