"""How far a large text is read and encoded, as it is printed."""

import io
import sys

import pytest

from tinygpt.command.text_progress import is_progress, text_progress


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be changed."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_lines_in_a_pipe(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with text_progress() as report:
        for seconds in range(25):
            clock[0] = 100.0 + seconds
            report("encoding", 1e9 + seconds * 1e8, 5e9)
        report("reading", 1e9, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "encoding the corpus: 24% of 5.00 GB, 38s left",
        "encoding the corpus: 44% of 5.00 GB, 28s left",
        "encoding the corpus: 64% of 5.00 GB, 18s left",
    ]
    assert all(map(is_progress, lines))


def test_what_is_short_is_not_reported(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with text_progress() as report:
        report("reading", 1.0, 0)
        clock[0] += 1.9
        report("reading", 2e9, 0)
        assert not capsys.readouterr().err
        clock[0] += 0.2
        report("reading", 2e9, 0)
        assert "reading the corpus: 2.00 GB" in capsys.readouterr().err
        report("waiting for another run that encodes", 0, 0)
        clock[0] += 3
        report("waiting for another run that encodes", 0, 0)
        assert "waiting for another run that encodes\n" in capsys.readouterr().err


def test_a_line_of_a_terminal_is_rewritten_and_removed(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with text_progress() as report:
        for _ in range(5):
            report("encoding", 1e9, 5e9)
            clock[0] += 1
        shown = terminal.getvalue()
    assert shown.count("\r\x1b[Kencoding the corpus: 20% of 5.00 GB") == 3
    assert terminal.getvalue() == f"{shown}\r\x1b[K"
