"""The driver of a page: what it writes to the server, and when the server is gone."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from textual.app import App

from tinygpt_tui.shell.page_driver import PageDriver

MOUSE_OFF = b"\x1b[?1003l"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            assert end == ends[0], "only the reader is closed by a test"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver here waits for keys: stdin may be a file, for which it could not."""
    monkeypatch.setattr("textual.drivers.web_driver.InputReader", object)


def driver(end: int, *, mouse: bool = True) -> PageDriver:
    """A driver that writes to this end of a pipe."""

    async def make() -> PageDriver:  # a driver is made in a running loop
        return PageDriver(App(), mouse=mouse, size=(83, 29))

    made = asyncio.run(make())
    made.fileno = end
    return made


def test_it_draws_in_packets(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    driver(writer).write("é")
    assert os.read(reader, 99) == b"D\x00\x00\x00\x02\xc3\xa9"


def test_what_a_server_does_not_read_any_more_is_dropped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    driver(writer).write("x")


@pytest.mark.parametrize("mouse", [True, False])
def test_the_mouse_is_left_to_the_browser(
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    mouse: bool,  # noqa: FBT001
) -> None:
    reader, writer = pipe
    monkeypatch.setattr(
        "textual.drivers.web_driver.WebDriver.start_application_mode",
        lambda self: self.write("begins"),
    )
    driver(writer, mouse=mouse).start_application_mode()
    drawn = os.read(reader, 999)
    assert b"begins" in drawn
    assert (MOUSE_OFF in drawn) == (not mouse)
