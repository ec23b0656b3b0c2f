"""Prints the results of a command to stdout, as text or JSON, and says when that is impossible."""

from __future__ import annotations

import atexit
import errno
import gc
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from tinygpt.command.streams import prepare_streams, redirect_to_null, say

P = ParamSpec("P")

DONE, FAILED = 0, 1
"""Exit statuses of a command that succeeded, and of one whose results cannot be written."""


class OutputError(Exception):
    """Results that stdout does not accept."""


def print_text(text: str) -> None:
    """Write to stdout and flush.

    Raises:
        OutputError: stdout does not accept it: a full disk, for example.
        BrokenPipeError: whoever read stdout is gone, which is no failure of the command.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        vanished = _reader_vanished(error)
        redirect_to_null(sys.stdout)
        if vanished:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        msg = f"the results cannot be written to stdout: {error.strerror}"
        raise OutputError(msg) from error


def print_json(value: object) -> None:
    """Print one line of `json_text`; raises what `print_text` raises."""
    print_text(json_text(value) + "\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Strict JSON in ASCII: NaN and infinities become null, which JSON has no numbers for.

    All but printable ASCII is escaped, so that no terminal obeys a control character in a prompt,
    and no reader of lines takes U+2028 for an end of the line.
    """
    return json.dumps(_finite(value), allow_nan=False, indent=indent)


def entry_point(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate the main function of a command: it gets usable streams and a home, and unwritten
    results are one sentence on stderr and exit status 1."""

    @wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        prepare_streams()
        _prepare_home()
        # Then the interpreter ends without a search for cycles in all of torch: half a second.
        atexit.register(gc.freeze)
        try:
            return main(*args, **kwargs)
        except OutputError as error:
            say(str(error))
            return FAILED
        except BrokenPipeError:
            return DONE

    return wrapped


def _prepare_home() -> None:
    """Set HOME to / if there is none, as in a container whose user is not in /etc/passwd.

    That is what container engines do. Caches and the app's small files are then not kept, here and
    in children, instead of each library failing in its own way.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def _reader_vanished(error: OSError) -> bool:
    """Whether a pipe was closed, or a terminal, which answers with EIO from then on."""
    if error.errno != errno.EIO:
        return isinstance(error, BrokenPipeError)
    return stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
