"""What keeps the house readable: no file, class or page outgrows what a newcomer can take in."""

import ast
import itertools
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

FILE, CLASS = 450, 300
"""Lines at most."""
PAGES = {"README.md": 200, "docs/architecture.md": 120, "docs/benchmarks.md": 120}


def _modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _classes(path: Path) -> dict[str, int]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        f"{path.relative_to(ROOT)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


PRODUCT = [*_modules("tinygpt", "tinygpt_tui"), ROOT / "trainer.py"]
TESTS = _modules("tests")


def test_no_file_is_too_long() -> None:
    assert {str(path): n for path in [*PRODUCT, *TESTS] if (n := _lines(path)) > FILE} == {}


def test_no_class_is_too_long() -> None:
    classes = dict(itertools.chain.from_iterable(_classes(path).items() for path in PRODUCT))
    assert classes
    assert {name: n for name, n in classes.items() if n > CLASS} == {}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_too_long(page: str) -> None:
    assert _lines(ROOT / page) <= PAGES[page]


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in [*PRODUCT, *TESTS]
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_test_imports_another() -> None:
    """What tests share stands in tests/helpers."""
    found = {
        str(path): node.module
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").rpartition(".")[2].startswith("test_")
    }
    assert found == {}


FEATURES = {
    "tests/core/run/test_run.py": "the package as a whole",
    "tests/tui/test_wide.py": "wide characters, in every view",
    "tests/tui/test_terminal_generate.py": "the real app in tmux",
    "tests/tui/test_terminal_signals.py": "the real app, its terminal gone",
}
"""Tests of no single module."""


def test_a_test_of_a_module_has_its_name() -> None:
    """``tests/core/run/test_reader.py`` is of ``tinygpt/run/reader.py``."""
    modules = {path.relative_to(ROOT) for path in PRODUCT}
    lost = set()
    for room, package in (("core", Path("tinygpt")), ("tui", Path("tinygpt_tui"))):
        folder = ROOT / "tests" / room
        for path in TESTS:
            if path.is_relative_to(folder) and path.name.startswith("test_"):
                inner = path.relative_to(folder)
                module = package / inner.with_name(inner.name.removeprefix("test_"))
                lost |= {str(path.relative_to(ROOT))} if module not in modules else set()
    assert lost == FEATURES.keys()
