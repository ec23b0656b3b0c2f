"""The git commit of the working directory, which a run records: asked of git, within a moment."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

TIME_LIMIT = 2.0
"""Seconds for git to compare the files with the commit: in a huge repository, or on a slow disk, it
takes longer, and then only the commit is asked for."""
_BRIEF = 0.5
"""Seconds for the commit alone, which is in a few small files."""

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEAD = "# branch.oid "

# No lock on the index that another git would wait for; no program that a repository names.
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")


def git_state(folder: str | os.PathLike[str] | None = None) -> dict[str, Any] | None:
    """`commit`, and `changed`: whether a tracked file of its repository is different now.

    Without `changed` if that takes too long to find out; None if the folder (by default the current
    one) is in no repository or this has no commit, or git is not installed or refuses. Never
    raises.
    """
    where = Path(folder or os.curdir)
    status = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    try:
        lines = _lines(where, (*status, "--ignore-submodules=dirty"), TIME_LIMIT)
        commit = next((x.removeprefix(_HEAD) for x in lines if x.startswith(_HEAD)), "")
        changed = any(not line.startswith("#") for line in lines)
        return {"commit": commit, "changed": changed} if _COMMIT.fullmatch(commit) else None
    except subprocess.TimeoutExpired:
        pass
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    try:
        (commit,) = _lines(where, ("rev-parse", "--verify", "HEAD"), _BRIEF)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return {"commit": commit} if _COMMIT.fullmatch(commit) else None


def _lines(folder: Path, arguments: tuple[str, ...], limit: float) -> list[str]:
    done = subprocess.run(
        [*_GIT, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=limit,
        check=True,
        env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
    )
    return done.stdout.decode("utf-8", "replace").splitlines()
