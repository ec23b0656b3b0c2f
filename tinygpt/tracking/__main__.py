"""The process of one tracker: ``python -m tinygpt.tracking RUN NAME SECONDS [live] [model]``.

Its stdin says whether the training goes on: at its end, the rest is to be sent within SECONDS (0:
however long it takes). A trainer that is killed closes it too. Lines on stdout are for the user;
what the tracker's package prints goes to a log.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
from pathlib import Path

from tinygpt.errors import first_line
from tinygpt.files.safe_open import open_to_write
from tinygpt.tracking.follow import follow
from tinygpt.tracking.state import LOG, make_folder

POLL = 1.0
"""Seconds between two looks for new records."""
NICENESS = 10
"""Training comes first."""
LONGEST_REASON = 300
"""Characters of an error that are shown: some packages put whole pages into one line."""
ERROR = "!"
"""Begins the line that says why the process ends early."""


class Stdin:
    """Whether stdin, which holds nothing, has ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended = False

    def is_over(self) -> bool:
        """Whether the training has ended."""
        if not self._ended:
            self.wait(0)
        return self._ended

    def wait(self, seconds: float = POLL) -> None:
        """Until stdin ends, or for a number of seconds."""
        if select.select([0], [], [], seconds)[0] and not self._ended:
            self._ended = True
            if self._seconds:
                timer = threading.Timer(self._seconds, _give_up)
                timer.daemon = True
                timer.start()


def _give_up() -> None:
    """End this process and those that the tracker's package has started; nobody else may be left to
    do so."""
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Follow a run as the arguments say; returns the exit status."""
    path, name, seconds, *flags = sys.argv[1:]
    run = Path(path)
    # The end of the training is what ends it: it follows the stop that a scheduler or a terminal
    # asks of all processes at once.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    user = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")

    def note(text: str) -> None:
        user.write(text.replace("\n", " ") + "\n")
        user.flush()

    try:
        _redirect_output(make_folder(run, name) / LOG)
        stdin = Stdin(float(seconds))
        live, model = "live" in flags, "model" in flags
        count = follow(
            run, name, is_over=stdin.is_over, wait=stdin.wait, note=note, live=live, model=model
        )
        if not live:
            note(f"{count:,} rows sent" if count else "it had all of this run's steps already")
    except Exception as error:  # noqa: BLE001 - whatever a tracker's package raises
        traceback.print_exc()
        note(ERROR + first_line(error)[:LONGEST_REASON])
        return 1
    return 0


def _redirect_output(file: Path) -> None:
    """Lead stdout and stderr to a log."""
    log = open_to_write(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main())
