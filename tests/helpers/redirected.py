"""Commands with closed, full or otherwise redirected streams, or a user whom nobody knows."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import forked
from tests.helpers.preloaded import CLOSED
from tests.helpers.terminals import find
from tests.helpers.trainer import environment
from tests.helpers.waiting import PATIENCE

APP = (sys.executable, "-m", "tinygpt_tui")


def redirected(
    command: Sequence[str],
    how: str,
    cwd: Path,
    *,
    text: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end; `how` is a shell's redirections, such as ``>&- 2>/dev/full``, and
    `text` its stdin if `how` does not say otherwise."""
    if forked.takes(command) and "|" not in how:
        return _without_a_shell(command, how, cwd, text, variables or {})
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {how}', "sh", *command],
        cwd=cwd,
        env={**environment(), **(variables or {})},
        input=text,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def _without_a_shell(
    command: Sequence[str], how: str, cwd: Path, text: bytes, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """The same, by a fork if that can be."""
    closed: list[str] = []
    with ExitStack() as files, tempfile.TemporaryFile() as given:
        given.write(text)
        given.seek(0)
        streams: list[Any] = [given, subprocess.PIPE, subprocess.PIPE]
        for word in how.split():
            found = re.fullmatch(r"(\d?)(<|>>?)(.+)", word)
            assert found
            number = int(found[1] or found[2] != "<")
            if found[3] == "&-":
                closed.append(str(number))
                streams[number] = subprocess.DEVNULL
            else:
                mode = {"<": "rb", ">": "wb", ">>": "ab"}[found[2]]
                streams[number] = files.enter_context(open(cwd / found[3], mode))
        extra = {CLOSED: " ".join(closed)} if closed else {}
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**environment(), **variables, **extra},
            **dict(zip(("stdin", "stdout", "stderr"), streams, strict=True)),
            timeout=PATIENCE,
            check=False,
        )
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout or b"", done.stderr or b""
    )


def homeless() -> list[str]:
    """The start of a command line that runs the rest without HOME, as a user id that has no entry
    in /etc/passwd but the rights of this one; skips the test where that is not allowed."""
    words = [find("unshare"), "--user", "--map-user=12345"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"user namespaces are not allowed here: {tried.stderr.strip()}")
    unset = ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TINYGPT_CACHE", "USER", "LOGNAME")
    return [*words, "env", *(f"-u{name}" for name in unset)]
