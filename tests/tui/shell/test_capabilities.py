"""The app in terminals of every kind, and locales that lack its glyphs."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.scenes import make_run
from tests.helpers.terminals import APP, Terminal, end_all, find
from tinygpt_tui.shell import capabilities


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals that run the app on a run, with changes of its environment."""
    find("tmux")
    make_run(tmp_path / "runs", "one").close()
    terminals: list[Terminal] = []

    def open_terminal(*environment: str, columns: int = 80) -> Terminal:
        waiting = ("sh", "-c", '"$@"; echo "left with $?"; read _', "sh")
        terminals.append(Terminal((*waiting, "env", *environment, *APP), tmp_path, columns, 24))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.kill()
    end_all(tmp_path)


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ("TERM=dumb", "TERM is 'dumb', which cannot be drawn on"),
        ("TERM=unknown", "TERM is 'unknown'"),
        ("-uTERM", "TERM is not set"),
    ],
)
def test_a_terminal_that_cannot_be_drawn_on_is_refused(
    opened: Callable[..., Terminal], term: str, says: str
) -> None:
    terminal = opened(term, columns=300)
    terminal.sees(f"the interface needs a terminal, but {says}", "left with 2")


def test_the_app_draws_ascii_where_the_encoding_lacks_its_glyphs(
    opened: Callable[..., Terminal],
) -> None:
    terminal = opened("PYTHONIOENCODING=latin-1")
    terminal.sees("one", "Dense", "q quit")
    assert terminal.screen().isascii()
    assert "\\u" not in terminal.screen()


def test_the_size_is_the_terminals_whatever_was_exported(opened: Callable[..., Terminal]) -> None:
    terminal = opened("COLUMNS=200", "LINES=50")
    terminal.until(lambda: len(terminal.header().rstrip()) in (79, 80))
    terminal.sees("q quit")
    terminal.resize(120, 30)
    terminal.until(lambda: len(terminal.header().rstrip()) in (119, 120))


@pytest.mark.parametrize(
    ("encoding", "ascii_only"),
    [("utf-8", False), ("gb18030", False), ("latin-1", True), ("ascii", True), ("koi8-r", True)],
)
def test_glyphs_that_an_encoding_has(
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    ascii_only: bool,  # noqa: FBT001
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert capabilities.needs_ascii() == ascii_only


def test_a_page_of_a_browser_is_no_matter_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.setenv("COLUMNS", "131")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    assert capabilities.problem()
    assert capabilities.needs_ascii()
    monkeypatch.setenv("TEXTUAL_DRIVER", capabilities.PAGE_DRIVER)
    assert capabilities.problem() is None
    assert not capabilities.needs_ascii()
    capabilities.forget_size()
    assert os.environ["COLUMNS"] == "131"
    monkeypatch.setenv("NO_COLOR", "1")
    assert capabilities.needs_ascii()
