"""Questions about paths that do not raise, and who has to ask them."""

import ast
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.permissions import closed, public_folder
from tinygpt.files.paths import access_problem, user_path


def test_what_can_be_told_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("", "file", "none", "file/inner", "dangling"):
        assert access_problem(tmp_path / name) is None


def test_what_cannot_be_told_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert access_problem(tmp_path / "loop") == "Too many levels of symbolic links"
    assert access_problem(tmp_path / ("x" * 300)) == "File name too long"
    assert access_problem(tmp_path / "a\0b") == "embedded null byte"
    with public_folder() as folder:
        (folder / "shut").mkdir()
        for mode in (0o000, 0o444, 0o111):  # to list and to enter are two permissions
            with closed(folder / "shut", mode):
                assert access_problem(folder / "shut") == "Permission denied"
        with closed(folder / "shut"):
            assert access_problem(folder / "shut" / "inner") == "Permission denied"


def test_a_home_that_does_not_exist() -> None:
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert user_path("~/x") == Path.home() / "x"


RAISING = {"is_file", "is_dir", "exists", "is_symlink", "expanduser"}
"""Methods of `Path` that raise where `os.path` says no; those of `os.DirEntry` are spared."""


def test_paths_are_asked_by_functions_that_do_not_raise() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} .{node.func.attr}()"
        for package in ("tinygpt", "tinygpt_tui")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in RAISING
        and ast.unparse(node.func.value) not in ("entry", "os.path")
    ]
    assert found == []
