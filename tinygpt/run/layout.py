"""The layout of a run directory: names of its files, and valid names for runs."""

import os
import re
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from tinygpt.errors import RunError
from tinygpt.files import atomic
from tinygpt.files.safe_open import read_toml

StrPath: TypeAlias = str | os.PathLike[str]

RUN_TOML = "run.toml"
TOKENIZER = "tokenizer.json"
METRICS = "metrics.jsonl"
STATUS = "status.json"
LOG = "train.log"
NOTE = "note.md"
LOCK = "lock"
CONTROL = "control"
QUEUE = "queue.json"
VARIANTS = ("dense", "moe")

LONGEST_NAME = 60
"""Characters of the longest run name: in any script under the 255 bytes of a file name."""

_STEP = re.compile(r"step-(\d{8,})", re.ASCII)


def step_name(step: int) -> str:
    """Name of a checkpoint folder: 500 -> "step-00000500"; names sort like the steps."""
    return f"step-{step:08d}"


def parse_step(name: str) -> int | None:
    """The step in the name of a checkpoint folder, None for any other name."""
    match = _STEP.fullmatch(name)
    return int(match[1]) if match else None


def checkpoint_dir(run: StrPath, variant: str, step: int) -> Path:
    """The folder of a variant's checkpoint at a step."""
    return Path(run, variant, step_name(step))


def list_steps(run: StrPath, variant: str) -> list[int]:
    """The steps of a variant's checkpoints, ascending."""
    try:
        with os.scandir(Path(run, variant)) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(step for name in names if (step := parse_step(name)) is not None)


def is_run(path: StrPath) -> bool:
    """Whether a folder is a run directory: it holds at least one of a run's files."""
    return any(os.path.isfile(Path(path, name)) for name in (RUN_TOML, STATUS, METRICS, LOG))


def read_config(path: StrPath) -> dict[str, Any]:
    """The run.toml of the run directory `path`. Raises RunError if it cannot be read."""
    file = Path(path, RUN_TOML)
    try:
        return read_toml(file)
    except FileNotFoundError as error:
        raise RunError(f"{file} is missing: not a run directory, or an incomplete copy") from error
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{file} is not valid TOML in UTF-8: {error}") from error


def validate_run_name(name: str) -> str:
    """Returns the name if it is valid: one folder name, safe in shells, file systems and terminals.

    Raises RunError, which says what is wrong with it.
    """
    if problem := _problem(name):
        raise RunError(f"{name!r} cannot name a run: {problem}; use letters, digits, '-', '_', '.'")
    return name


def _problem(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if len(name) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} characters"
    if "/" in name or "\\" in name:
        return "it has a path separator (--out sets the folder of runs)"
    if name[0] in ".-":
        return f"it starts with {name[0]!r}"
    if name != name.strip():
        return "it starts or ends with a space"
    # Cc and Cs break terminals and file names; Cf includes characters that reverse the text.
    if any(unicodedata.category(character)[0] == "C" for character in name):
        return "it has control characters"
    return None


def new_run_name(out: StrPath, prefix: str = "run", clock: Callable[[], float] = time.time) -> str:
    """An unused name in the folder `out`: prefix, month and day, hour and minute in local time.

    "nano-1123-2057", or if that exists "nano-1123-2057-2" and so on. Raises RunError if `prefix` is
    not valid in a name.
    """
    stem = validate_run_name(f"{prefix}-{time.strftime('%m%d-%H%M', time.localtime(clock()))}")
    name, copy = stem, 1
    while os.path.lexists(Path(out, name)):
        copy += 1
        name = f"{stem}-{copy}"
    return validate_run_name(name)


def reserve_run(out: StrPath, prefix: str = "run", clock: Callable[[], float] = time.time) -> Path:
    """Create the empty folder of a new run in `out`, under a name of `new_run_name`.

    Creating it reserves the name: of several processes that do so at the same moment, each gets its
    own. Raises RunError if `prefix` is not valid in a name, or the folder cannot be created.
    """
    try:
        atomic.make_folders(out)
        while True:
            run = Path(out, new_run_name(out, prefix, clock))
            with suppress(FileExistsError):  # another process was faster
                run.mkdir()
                return run
    except OSError as error:
        raise RunError(f"cannot write {error.filename or out}: {error.strerror}") from error
