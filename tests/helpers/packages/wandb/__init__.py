"""Stands in for the package wandb, so that the process of a tracker is tested without it.

What it is told goes to the file FAKE_WANDB as JSON lines. FAKE_WANDB_TROUBLE makes it raise, hang
or end the process; FAKE_WANDB_AT is the step at which (default: when a run is opened).
"""

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = "0.31.0"


class UsageError(Exception):
    """Of the real package."""


errors = SimpleNamespace(UsageError=UsageError)


class Html:
    """Text, as it was escaped."""

    def __init__(self, data: str) -> None:
        self.data = data


class Settings(SimpleNamespace):
    """Takes anything."""


class Artifact:
    """Names of files."""

    def __init__(self, name: str, type: str) -> None:  # noqa: A002 - its own name
        self.name, self.type = name, type
        self.files: list[str] = []

    def add_file(self, path: str, name: str) -> None:
        assert Path(path).is_file()
        self.files.append(name)


def _tell(what: str, **values: Any) -> None:
    line = json.dumps({"what": what, **values}) + "\n"
    with open(os.environ["FAKE_WANDB"], "a", encoding="utf-8") as file:
        file.write(line)


def _trouble(step: int) -> None:
    if step != int(os.environ.get("FAKE_WANDB_AT", "-1")):
        return
    match os.environ.get("FAKE_WANDB_TROUBLE"):
        case "raise":
            raise RuntimeError("the server\nis on fire.\nTry again.")
        case "hang":
            _tell("hang", pid=os.getpid())
            while True:
                time.sleep(60)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)


class Run:
    """A run that tells what it is told."""

    url = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self.id, self.starting_step = settings["id"], 0
        self.dir = str(Path(settings["dir"], "wandb", f"offline-run-{self.id}", "files"))
        self.summary: dict[str, Any] = {}

    def log(self, data: dict[str, Any], step: int, commit: bool) -> None:  # noqa: FBT001
        assert commit
        _trouble(step)
        plain = {k: v.data if isinstance(v, Html) else v for k, v in data.items()}
        _tell("log", id=self.id, step=step, data=plain)

    def log_artifact(self, artifact: Artifact, aliases: list[str]) -> None:
        _tell("artifact", id=self.id, name=artifact.name, files=artifact.files, aliases=aliases)

    def finish(self, exit_code: int) -> None:
        _tell("finish", id=self.id, exit_code=exit_code, summary=self.summary)


def login(*, verify: bool) -> bool:
    assert not verify
    raise UsageError("there is no key")


def init(**settings: Any) -> Run:
    del settings["settings"]
    _tell("init", **settings)
    _trouble(-1)
    return Run(settings)
