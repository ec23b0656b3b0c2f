"""Which file names can be saved to, and which read."""

from pathlib import Path

import pytest

from tests.helpers.permissions import closed, public_folder
from tinygpt_tui.screens.file_name import file_problem, save_problem, typed_path, unquoted


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


@pytest.mark.parametrize("pasted", ["{}", " {} ", "'{}'", '"{}"\n', "\t'{}' "])
def test_a_pasted_path(tmp_path: Path, pasted: str) -> None:
    file = tmp_path / "a b.txt"
    file.touch()
    assert typed_path(pasted.format(file)) == file
    assert file_problem(pasted.format(file)) is None


def test_quotes_and_blanks_in_a_name_are_kept(tmp_path: Path) -> None:
    strange = tmp_path / "'a' "
    assert unquoted(f"{strange}") == str(strange).rstrip()
    strange.touch()
    assert unquoted(f"{strange}") == str(strange)
    assert [unquoted(text) for text in ("", "'", "''", "'a", "auto ")] == [
        "",
        "'",
        "",
        "'a",
        "auto",
    ]


@pytest.mark.parametrize("broken", ["~nobody-here/x", "a\0b", "x" * 300])
def test_impossible_names(broken: str) -> None:
    assert file_problem(broken) is not None
    save_problem(broken)


def test_the_home_of_nobody_is_a_folder_that_is_missing() -> None:
    assert save_problem("~no-such-user/x") == "There is no folder ~no-such-user"
    assert file_problem("~no-such-user") == "There is no file ~no-such-user"


def test_names_that_cannot_be_looked_up() -> None:
    for name, why in (("x" * 300, "File name too long"), ("a\0b", "embedded null byte")):
        assert save_problem(name) == f"{name} cannot be written: {why}"
        assert file_problem(name) == f"{name} cannot be read: {why}"
    with public_folder() as folder:
        (folder / "shut").mkdir()
        with closed(folder / "shut"):
            file = folder / "shut" / "x"
            assert save_problem(str(file)) == f"{file} cannot be written: Permission denied"
            assert file_problem(str(file)) == f"{file} cannot be read: Permission denied"
