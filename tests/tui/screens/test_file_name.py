"""Which file names can be saved to, and which read."""

from pathlib import Path

from tinygpt_tui.screens.file_name import file_problem, save_problem


def test_names_of_files(tmp_path: Path) -> None:
    there = tmp_path / "there.txt"
    there.touch()
    assert save_problem(str(tmp_path / "new.txt")) is None
    assert save_problem(str(there)) == f"{there} already exists: choose another name"
    assert save_problem(str(tmp_path / "no" / "x")) == f"There is no folder {tmp_path / 'no'}"
    assert file_problem(str(there)) is None
    assert file_problem(str(tmp_path / "no")) == f"There is no file {tmp_path / 'no'}"
    for name in ("", " ", str(tmp_path)):
        assert save_problem(name) == "Enter a file name"
        assert file_problem(name) == "Enter the name of a text file"
