"""What the app leaves on a terminal, and bytes from one that are no text."""

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.terminals import APP, Terminal, end_all, find

SHELL = ("sh", "-c", 'echo before; "$@"; echo "left with $?"; read _', "sh")
"""Waits in the end: tmux forgets the screen of a command that has ended."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    find("tmux")
    yield tmp_path
    end_all(tmp_path)


def leave(terminal: Terminal) -> str:
    """What is on the terminal after the app was opened and left."""
    try:
        terminal.sees("1 Train", "q quit")
        terminal.press("q")
        terminal.sees("left with 0")
        return terminal.screen().strip()
    finally:
        terminal.kill()


def test_what_was_there_is_back(folder: Path) -> None:
    assert leave(Terminal((*SHELL, *APP), folder, 80, 24)) == "before\nleft with 0"


def test_a_terminal_without_alternate_screen_is_cleared(folder: Path) -> None:
    terminal = Terminal((*SHELL, *APP), folder, 80, 24, alternate_screen=False)
    assert leave(terminal) == "left with 0"


def test_gnu_screen_is_cleared(folder: Path) -> None:
    # The path of its socket has at most about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="screen-") as sockets:
        multiplexer = ("env", f"SCREENDIR={sockets}", find("screen"), "-U", "-c", "/dev/null")
        terminal = Terminal((*multiplexer, *SHELL, *APP), folder, 80, 24)
        assert leave(terminal) == "left with 0"


def test_stderr_may_be_redirected(folder: Path) -> None:
    into_file = ("sh", "-c", 'exec "$@" 2>said', "sh")
    assert leave(Terminal((*SHELL, *into_file, *APP), folder, 80, 24)) == "before\nleft with 0"
    assert (folder / "said").read_bytes() == b""


def test_bytes_that_are_no_text_do_not_end_the_app(folder: Path) -> None:
    terminal = Terminal((*SHELL, *APP), folder, 80, 24)
    terminal.sees("1 Train", "q quit")
    terminal.send(b"\xff\xe9\xc3(")
    terminal.press("?")
    terminal.sees("│ Run")
    terminal.press("Escape")
    terminal.until(lambda: "│ Run" not in terminal.screen())
    assert leave(terminal) == "before\nleft with 0"


@pytest.mark.parametrize("wrapped", [False, True])
def test_ctrl_z_and_fg(folder: Path, wrapped: bool) -> None:  # noqa: FBT001
    """While a prompt is edited; also where the shell waits for another process, such as make, that
    waits for the app."""
    shell = find("bash")
    terminal = Terminal((shell, "--norc", "-i"), folder, 250, 24)
    wrapper = ("sh", "-c", '"$@"; exit 0', "sh") if wrapped else ()
    try:
        terminal.type(shlex.join([*wrapper, *APP]))
        terminal.press("Enter")
        terminal.sees("1 Train", "q quit")
        terminal.press("2", "t", "X")
        terminal.sees("ROMEO:X")
        before = terminal.screen()
        terminal.press("C-z")
        terminal.sees("Stopped")
        assert "q quit" not in terminal.screen()
        terminal.type("echo $((7 * 191))")
        terminal.press("Enter")
        terminal.sees("1337")
        terminal.press("f", "g", "Enter")
        terminal.until(lambda: terminal.screen() == before)
        terminal.press("C-c")
        terminal.until(lambda: "Stopped" in terminal.screen())
        assert "1337" in terminal.screen()
    finally:
        terminal.kill()


def test_without_a_shell_ctrl_z_does_not_hang(folder: Path) -> None:
    terminal = Terminal(APP, folder, 80, 24)
    try:
        terminal.sees("1 Train", "q quit")
        terminal.press("C-z")
        terminal.sees("No shell waits for this app")
        terminal.press("q")
        assert terminal.ends() == 0
    finally:
        terminal.kill()
