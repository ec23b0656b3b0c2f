"""JSON files in the user's state folder: damage and a disk that refuses are no errors."""

from pathlib import Path

import pytest

from tests.helpers.redirected import homeless
from tests.helpers.terminals import APP, Terminal, end_all, find
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


def test_a_user_whom_nobody_knows_keeps_nothing(tmp_path: Path) -> None:
    """No folder named ~ appears either."""
    find("tmux")
    (tmp_path / "runs").mkdir()
    terminal = Terminal((*homeless(), *APP), tmp_path, 80, 24)
    try:
        terminal.sees("Enter train this preset")
        terminal.press("2")
        terminal.sees("q quit")
        terminal.press("q")
        assert terminal.ends() == 0
    finally:
        terminal.kill()
        end_all(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
