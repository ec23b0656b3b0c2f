"""What the headless commands share: which checkpoint, which text, which exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.fields import flag
from tinygpt.files.safe_open import bad_byte

USAGE = 2


def status_of(work: Callable[[], None]) -> int:
    """The exit status of a command: a sentence on stderr for what its user can mend."""
    try:
        work()
    except TinyGPTError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except BrokenPipeError:  # the reader has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
    except KeyboardInterrupt:
        return 130
    return 0


def text_given(text: str) -> str:
    """Itself, or stdin's where it is ``-``."""
    if text != "-":
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigError(f"stdin is not UTF-8 text ({bad_byte(error)}): pipe in UTF-8") from error


def refuse_others(given: Mapping[str, Any], own: Set[str], command: str) -> None:
    """Raises ConfigError for an option that means nothing to a command."""
    if others := sorted(given.keys() - own):
        raise ConfigError(f"{flag(others[0])} means nothing to {command}: leave it out")


def checkpoint_path(given: Mapping[str, Any], command: str) -> Path:
    """The run, variant or step directory to load; without a name, the live or the newest run.

    Raises:
        ConfigError: there is none, or --model names two, or one that is not there.
    """
    from tinygpt.run import VARIANTS, current_run  # noqa: PLC0415 - not for --help

    run, out, model = given.get("run"), given["out"], given.get("model")
    if model is not None and model not in VARIANTS:
        raise ConfigError(f"--model {model!r} is not one model: {command} takes dense or moe")
    if run is None:
        found = current_run(Path(out))
        if found is None:
            raise ConfigError(f"there is no run in {out}: train one, or name another --out")
        path = found.path
    else:
        paths = (Path(run), Path(out, run))
        known = next((path for path in paths if path.is_dir()), None)
        if known is None:
            raise ConfigError(f"there is no run {run!r}, neither as a path nor in {out}")
        path = known
    return path if model is None else _of_model(path, model)


def _of_model(path: Path, model: str) -> Path:
    """The variant of a run that --model names; what is a variant or a step already is one."""
    from tinygpt.run import VARIANTS, is_run  # noqa: PLC0415 - not for --help

    if is_run(path):
        if not (path / model).is_dir():
            raise ConfigError(f"--model {model}: {path} has no checkpoint of it")
        return path / model
    whole = path.absolute()
    found = next((name for name in (whole.name, whole.parent.name) if name in VARIANTS), model)
    if found != model:
        raise ConfigError(f"--model {model}: {path} is of {found}, so leave --model out")
    return path
