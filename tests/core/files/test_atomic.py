"""Files and folders appear complete or not at all."""

import json
import os
import stat
from pathlib import Path

import pytest

from tinygpt.files import atomic


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    atomic.write_bytes(file, b"\x00\n")
    assert file.read_bytes() == b"\x00\n"
    atomic.write_text(file, "é\r\n")
    assert file.read_bytes() == "é\r\n".encode()
    atomic.write_json(file, {"step": 7, "error": None}, durable=False)
    assert json.loads(file.read_text()) == {"step": 7, "error": None}
    assert names(tmp_path) == ["status.json"]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        atomic.write_text(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    atomic.write_text(file, "old")
    with pytest.raises(ValueError, match="Out of range float"):
        atomic.write_json(file, float("nan"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "dense" / "step-00000005"
    with atomic.directory(target) as folder:
        assert folder.parent == target.parent
        assert folder.name.startswith(".")
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")
        assert not target.exists()
    assert (target / "inner" / "file").read_text() == "x"
    assert names(target.parent) == ["step-00000005"]


def test_directory_replaces(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with atomic.directory(tmp_path / "step") as folder:
            (folder / text).write_text(text)
    assert names(tmp_path / "step") == ["new"]
    assert names(tmp_path) == ["step"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_directory_after_an_exception_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with atomic.directory(tmp_path / "step") as folder:
        (folder / "old").touch()

    def fail() -> None:
        with atomic.directory(tmp_path / "step") as temporary:
            (temporary / "new").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path / "step") == ["old"]
    assert names(tmp_path) == ["step"]


def test_every_file_and_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with atomic.directory(tmp_path / "step") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").touch()
    step = tmp_path / "step"
    expected = [step / "inner" / "file", step / "inner", step, tmp_path]
    assert {path.stat().st_ino for path in expected} <= set(synced)
    assert synced[-1] == tmp_path.stat().st_ino


def test_remove_leftovers(tmp_path: Path) -> None:
    keep = ["file", ".hidden", ".file.tmp", "x.0123abcd.tmp"]
    for name in [*keep, ".file.0123abcd.tmp"]:
        (tmp_path / name).touch()
    leftover = tmp_path / ".step-00000005.deadbeef.tmp"
    (leftover / "inner").mkdir(parents=True)
    assert atomic.remove_leftovers(tmp_path) == [tmp_path / ".file.0123abcd.tmp", leftover]
    assert names(tmp_path) == sorted(keep)
    assert atomic.remove_leftovers(tmp_path / "missing") == []


def test_temporaries_are_leftovers_whatever_the_name(tmp_path: Path) -> None:
    context = atomic.directory(tmp_path / ("日本語\n" * 60)[:80])
    folder = context.__enter__()
    assert atomic.remove_leftovers(tmp_path) == [folder]


def test_a_file_that_is_written_in_parts_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic.replacement(path) as written:
        written.write_text("ne")
        assert path.read_text() == "old"
        with open(written, "a") as file:
            file.write("w")
    assert path.read_text() == "new"
    with pytest.raises(FileNotFoundError), atomic.replacement(path):
        pass  # the file was not created
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
