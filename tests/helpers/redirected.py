"""Commands with closed, full or otherwise redirected streams, as a shell starts them."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

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
