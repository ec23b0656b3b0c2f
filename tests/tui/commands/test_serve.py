"""--serve without a browser: its mistakes, and which app each page opens.

tests/extras/test_serve.py has the rest, which needs the extra.
"""

import importlib.util
import itertools
import shlex
import socket
from pathlib import Path

import pytest

from tinygpt_tui import cli
from tinygpt_tui.commands import serve


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra was there; the mistakes are found before it is imported."""
    monkeypatch.setattr(serve, "NEEDS", ())


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says that refuses these arguments."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    shown = capsys.readouterr()
    assert not shown.out
    return shown.err


def test_the_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    expected = "tinygpt-tui: --serve needs another package: pip install 'tinygpt-tui[web]'\n"
    assert said(["--serve"], capsys) == expected


@pytest.mark.usefixtures("installed")
def test_a_port_in_use_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((serve.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        text = said(["--serve", "--port", str(port)], capsys)
    expected = f"--port {port} is in use: give another, or --port 0 for one that is free"
    assert text == f"tinygpt-tui: {expected}\n"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "8001"], "--port is for --serve"),
        (["--serve", "--port", "65536"], "--port: '65536' is no port: give a number up to 65535"),
        (["--serve", "--port", "-1"], "--port"),
        (["--serve", "--port", "²"], "--port: '²' is no port"),
        (["--serve", "--train-only"], "--train-only and --serve exclude each other"),
        (["--serve", "--generate", "x"], "--generate and --serve exclude each other"),
        (["--serve", "--json"], "--json is for --train-only"),
        (["nowhere", "--serve"], "there is no run 'nowhere'"),
        (["--serve", "--gpt.heads", "3"], "--gpt.width 129"),
        (["--serve", "--resume"], "--resume: there is no run in"),
    ],
)
def test_mistakes_are_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    text = said([*arguments, "--out", str(tmp_path)], capsys)
    assert says in text
    assert len(text.splitlines()) == 1


def test_only_the_first_page_does_what_the_options_say() -> None:
    """Reloading a page must not start another training."""
    words = ["--serve", "--start", "--preset=nano", "--port", "7", "--ascii", "--out", "a b"]
    options = cli.make_parser().parse_args(words)
    first, second, third = itertools.islice(serve.page_commands(options, words), 3)
    begin = first.index("tinygpt_tui")
    assert shlex.split(first[begin:])[1:] == ["--start", "--preset=nano", "--ascii", "--out", "a b"]
    assert shlex.split(second[begin:])[1:] == ["--out", "a b", "--ascii"]
    assert second == third


def test_every_page_trains_with_the_trackers() -> None:
    options = cli.make_parser().parse_args(["--serve"])
    options.track = ["one", "other"]  # the packages need not be here
    _, second = itertools.islice(serve.page_commands(options, ["--serve", "--track=one,other"]), 2)
    assert shlex.split(second)[-3:] == ["--out", "checkpoints", "--track=one,other"]


def test_every_page_opens_the_run_that_is_named() -> None:
    words = ["--serve", "--port=7", "micro", "--resume"]
    options = cli.make_parser().parse_args(words)
    first, second = itertools.islice(serve.page_commands(options, words), 2)
    assert shlex.split(first)[-2:] == ["micro", "--resume"]
    assert shlex.split(second)[-4:] == ["--out", "checkpoints", "--", "micro"]
