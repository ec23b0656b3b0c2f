"""Terminals that stall, stop and come back while training continues."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.kills import steps
from tests.helpers.models import TEXT
from tests.helpers.terminals import APP, environment, find, ssh_server
from tests.helpers.trainer import endless_training
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import read_state


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A tiny run that is still training."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    with endless_training(tmp_path, "tiny") as path:
        until(lambda: read_state(path).state == "live")
        yield path


class Screen:
    """The app in a pseudo-terminal whose output is read only on request."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.modes = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            words or APP,
            cwd=folder,
            env=environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.got = b""

    def read(self) -> bytes:
        """All output so far."""
        while select.select([self._master], [], [], 0)[0]:
            if not (more := os.read(self._master, 1 << 16)):
                break
            self.got += more
        return self.got

    def sees(self, text: bytes) -> None:
        """Wait for a text."""
        until(lambda: text in self.read(), lambda: repr(self.got[-500:]))

    def press(self, keys: bytes) -> None:
        """Send keys."""
        os.write(self._master, keys)

    def restored(self) -> bool:
        """Whether the terminal's modes are as they were before the app."""
        return termios.tcgetattr(self._slave) == self.modes

    def hang_up(self) -> None:
        """Close both ends of the terminal."""
        for end in {self._master, self._slave} - {-1}:
            os.close(end)
        self._master = self._slave = -1

    def close(self) -> None:
        """Kill the app and close the terminal."""
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait(PATIENCE)
        self.hang_up()


@pytest.fixture
def opened() -> Iterator[Callable[..., Screen]]:
    screens: list[Screen] = []

    def open_screen(*arguments: object) -> Screen:
        screens.append(Screen(*arguments))  # type: ignore[arg-type]
        return screens[-1]

    yield open_screen
    for screen in screens:
        screen.close()


def moves_on(run: Path, by: int) -> None:
    """Wait until `by` more steps are recorded."""
    held = steps(run)
    until(lambda: steps(run) > held + by)


def test_a_link_that_stalls(
    run: Path,
    tmp_path: Path,
    opened: Callable[..., Screen],
    record_property: Callable[[str, object], None],
) -> None:
    screen = opened(tmp_path)
    screen.sees(b"Live")
    app = psutil.Process(screen.process.pid)
    moves_on(run, 200)
    began, memory = sum(app.cpu_times()[:2]), app.memory_info().rss
    clock = os.times().elapsed
    held = steps(run)
    for _ in range(7):  # as if by a user who thinks that it hangs
        screen.press(b"2341")
    until(lambda: steps(run) > held + 3000 or os.times().elapsed > clock + 40)
    share = (sum(app.cpu_times()[:2]) - began) / (os.times().elapsed - clock)
    grown = app.memory_info().rss - memory
    assert share < 0.9, "it spins"
    assert grown < 100 << 20
    assert steps(run) > held + 500
    # The link is back.
    seen = len(screen.read())
    until(lambda: len(screen.read()) > seen)
    screen.press(b"1q")
    screen.sees(b"Leave it running")
    screen.press(b"l")
    until(lambda: screen.read() and screen.process.poll() is not None)
    assert screen.process.returncode == 0
    assert screen.restored()
    moves_on(run, 20)
    record_property("count megabytes that the app grew by during a stalled link", grown >> 20)


SHELL = """
import subprocess, sys
sys.exit(subprocess.Popen(sys.argv[1:], process_group=0).wait())
"""
"""Waits for its job, as a shell does: without one, the app does not stop."""


def test_stopped_and_back(run: Path, tmp_path: Path, opened: Callable[..., Screen]) -> None:
    screen = opened(tmp_path, sys.executable, "-c", SHELL, *APP)
    screen.sees(b"Live")
    (app,) = psutil.Process(screen.process.pid).children()
    for _ in range(3):
        screen.got = b""
        app.send_signal(signal.SIGTSTP)
        until(lambda: screen.read() is not None and app.status() == psutil.STATUS_STOPPED)
        assert b"\x1b[?1049l" in screen.read(), "the shell would write over the app"
        assert screen.restored()
        moves_on(run, 20)
        screen.got = b""
        app.send_signal(signal.SIGCONT)
        screen.sees(b"\x1b[?1049h")
        screen.sees(b"Train")
    screen.press(b"q")
    screen.sees(b"Leave it running")
    screen.press(b"l")
    until(lambda: screen.read() and screen.process.poll() is not None)
    assert screen.restored()


def test_a_signal_leaves_a_plain_terminal(
    run: Path, tmp_path: Path, opened: Callable[..., Screen]
) -> None:
    screen = opened(tmp_path)
    screen.sees(b"Live")
    screen.process.send_signal(signal.SIGTERM)
    until(lambda: screen.read() and screen.process.poll() is not None)
    assert screen.process.returncode == 128 + signal.SIGTERM
    assert b"\x1b[?1049l" in screen.read()
    assert screen.restored()
    moves_on(run, 20)


def test_a_terminal_that_vanishes_without_a_signal(
    run: Path, tmp_path: Path, opened: Callable[..., Screen]
) -> None:
    """It is not the app's controlling terminal, so that no SIGHUP comes."""
    screen = opened(tmp_path)
    screen.sees(b"Live")
    screen.hang_up()
    until(lambda: screen.process.poll() is not None)
    assert screen.process.returncode == 128 + signal.SIGHUP
    moves_on(run, 20)


def test_a_connection_that_says_nothing_any_more(
    run: Path, tmp_path: Path, opened: Callable[..., Screen]
) -> None:
    """As with a blocked port: the client neither reads nor answers, and is not closed."""
    find("sshd")
    with ssh_server(tmp_path / "sshd") as server:
        screen = opened(tmp_path, *server.client(*APP))
        screen.sees(b"Live")
        screen.process.send_signal(signal.SIGSTOP)
        moves_on(run, 1000)
        screen.process.send_signal(signal.SIGCONT)
        screen.got = b""
        moves_on(run, 100)
        until(lambda: re.search(rb"[\d,]{3,}", screen.read()))
        server.cut()
        until(lambda: screen.read() is not None and screen.process.poll() is not None)
        moves_on(run, 100)
