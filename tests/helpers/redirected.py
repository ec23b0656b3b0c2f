"""Commands with closed, full or otherwise redirected streams, or a user whom nobody knows."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

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
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {how}', "sh", *command],
        cwd=cwd,
        env={**environment(), **(variables or {})},
        input=text,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
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
