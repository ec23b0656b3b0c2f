"""JSON files in the user's state folder: damage and a disk that refuses are no errors."""

from pathlib import Path

import pytest

from tinygpt_tui.user_files import read_json, write_json


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new"))
    assert read_json("some.json") is None
    write_json("some.json", {"a": ["漢", 1]})
    assert read_json("some.json") == {"a": ["漢", 1]}


@pytest.mark.parametrize("found", ["", "{", "\x00", "[" * 9999])
def test_a_damaged_file_is_none(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "tinygpt-tui").mkdir()
    (tmp_path / "tinygpt-tui" / "some.json").write_text(found)
    assert read_json("some.json") is None


def test_a_folder_that_cannot_be_made_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    write_json("some.json", [])
    assert read_json("some.json") is None
