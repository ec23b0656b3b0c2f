"""``--serve``: the app in a browser, for those whose SSH forwards ports but whose terminal is poor.

It listens on the loopback alone, and asks for a token (`tinygpt_tui.web.access`).
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import itertools
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence

from tinygpt.child_process import PYTHON_OPTIONS, environment
from tinygpt.command.options import without
from tinygpt.command.results import print_text
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError
from tinygpt.tracking import names as trackers

HOST = "127.0.0.1"
"""Not "localhost", which may mean ::1 first, where another user could listen on the same port."""
PORT = 8000
NEEDS = ("aiohttp", "textual_serve")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --serve and --port."""
    group = parser.add_argument_group("show the interface in a browser, instead of this terminal")
    group.add_argument(
        "--serve",
        action="store_true",
        help="print an address of this machine for a browser, here or at the other end of ssh -L, "
        "and serve the app there; it ends with a token, without which nobody gets in",
    )
    group.add_argument(
        "--port",
        metavar="N",
        type=_port,
        help=f"the port of --serve (default: {PORT}; 0 takes one that is free)",
    )


def command(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Serve the app that `words` open, until Ctrl-C; returns the exit status.

    Raises:
        ConfigError: the extra is missing, or the port cannot be listened on.
    """
    if not all(map(importlib.util.find_spec, NEEDS)):
        raise ConfigError("--serve needs another package: pip install 'tinygpt-tui[web]'")
    with _listen(getattr(options, "port", PORT)) as listener:
        from tinygpt_tui.web.access import Access  # noqa: PLC0415 - after what takes no time
        from tinygpt_tui.web.server import Server  # noqa: PLC0415

        os.environ.update(environment())  # for the pages' processes
        access, port = Access(), listener.getsockname()[1]
        say("Open this address in a browser. Whoever knows it can use the app as you:")
        print_text(f"http://{HOST}:{port}/?token={access.token}\n")
        forward = f"ssh -N -L {port}:{HOST}:{port} {socket.gethostname()}"
        say(f"From another machine, first forward the port there: {forward}")
        say("Ctrl-C ends it; training goes on.")
        Server(access, page_commands(options, words)).run(listener)
    return 0


def page_commands(options: argparse.Namespace, words: Sequence[str]) -> Iterator[str]:
    """The shell command of each page: the first does what `words` say; the others just open the
    app, as reloading a page must not start another training."""
    first = [word for word in without(words, "--port") if word != "--serve"]
    others = ["--out", options.out]
    others += [word for word in ("--ascii", "--no-mouse") if word in words]
    others += trackers.as_options(options)
    others += ["--", options.run] if options.run is not None else []
    yield _app(first)
    yield from itertools.repeat(_app(others))


def _app(words: Sequence[str]) -> str:
    return "exec " + shlex.join([sys.executable, *PYTHON_OPTIONS, "tinygpt_tui", *words])


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number up to 65535")
    return int(text)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"--port {port} is in use: give another, or --port 0 for one that is free"
        else:
            msg = f"--port {port} cannot be used: {error.strerror}"
        raise ConfigError(msg) from error
