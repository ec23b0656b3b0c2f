"""An export appears whole, and replaces nothing but an earlier one."""

from pathlib import Path

import pytest

from tinygpt.errors import ConfigError
from tinygpt.export.folder import export_folder

NAMES = ("a.txt", "b.txt")


def export(target: Path, text: str = "new") -> None:
    with export_folder(target, NAMES, lambda folder: (folder / "a.txt").exists()) as (folder, _):
        (folder / "a.txt").write_text(text)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_new_or_replaces_an_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    export(target, "one")
    (target / "b.txt").write_text("old")
    export(target, "two")
    assert listed(target) == ["a.txt"]
    assert (target / "a.txt").read_text() == "two"
    assert listed(target.parent) == ["out"]


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    export(target)
    assert listed(target) == ["a.txt"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    export(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert listed(tmp_path / "real") == ["a.txt"]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (["a.txt", "thesis.tex"], "has thesis.tex, which is not of such an export"),
        (["b.txt"], "has files that are not an export's"),
    ],
)
def test_other_files_are_safe(tmp_path: Path, there: list[str], says: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    for name in there:
        (target / name).write_text("mine")
    with pytest.raises(ConfigError, match=says):
        export(target)
    assert {name: (target / name).read_text() for name in listed(target)} == dict.fromkeys(
        there, "mine"
    )


def test_a_file_and_the_current_folder_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is not a folder: name a new folder"):
        export(tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"--export \. is the current folder"):
        export(Path())
    with pytest.raises(ConfigError, match="cannot be written: "):
        export(tmp_path / "file" / "inner")


def test_one_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    export(target, "one")

    def fail() -> None:
        with export_folder(target, NAMES, lambda _: True) as (folder, _):
            (folder / "b.txt").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        fail()
    assert listed(tmp_path) == ["out"]
    assert (target / "a.txt").read_text() == "one"
