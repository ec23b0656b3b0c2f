"""The app served to browsers, for tests of --serve, and a browser to open it with."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.terminals import environment
from tests.helpers.waiting import PATIENCE, running

BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


class Served:
    """A server and what it printed."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process, self.url = process, url
        parts = urlsplit(url)
        self.host = parts.netloc
        self.root = f"{parts.scheme}://{parts.netloc}/"
        self.token = parts.query.removeprefix("token=")

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """End it as Ctrl-C does; returns its exit status, and what it wrote since the address."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Served]:
    """The app in a folder, served on a free port."""
    command = (sys.executable, "-m", "tinygpt_tui", "--serve", "--port", "0", *words)
    with running(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            pytest.fail(f"nothing is served: {process.communicate(timeout=PATIENCE)[1]}")
        yield Served(process, url)


def browser() -> str:
    """The path of a browser; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no browser on the PATH: install chromium")
    return found
