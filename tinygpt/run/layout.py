"""Names: which file of a run directory is which, and what a run may be called."""

import os
import re
import time
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tinygpt.errors import RunError
from tinygpt.files.safe_open import read_text

StrPath: TypeAlias = str | os.PathLike[str]

RUN_TOML = "run.toml"
TOKENIZER = "tokenizer.json"
METRICS = "metrics.jsonl"
STATUS = "status.json"
LOG = "train.log"
LOCK = "lock"
CONTROL = "control"
VARIANTS = ("dense", "moe")

LONGEST_NAME = 60
"""Characters of a run's name: stays under the 255 bytes of a file name in any script."""

LARGEST_TOML = 1 << 20
"""Bytes of a run.toml: a thousand times what one has."""

_STEP = re.compile(r"step-(\d{8,})", re.ASCII)


def step_name(step: int) -> str:
    """Name of the checkpoint folder of a step: 500 -> "step-00000500"; sorts like the numbers."""
    return f"step-{step:08d}"


def parse_step(name: str) -> int | None:
    """The step of a checkpoint folder's name, None for any other name."""
    match = _STEP.fullmatch(name)
    return int(match[1]) if match else None


def checkpoint_dir(run: StrPath, variant: str, step: int) -> Path:
    """Where the checkpoint of a variant at a step lies, or is to lie."""
    return Path(run, variant, step_name(step))


def list_steps(run: StrPath, variant: str) -> list[int]:
    """The steps of a variant's checkpoints, ascending; empty without any."""
    try:
        with os.scandir(Path(run, variant)) as entries:
            names = [e.name for e in entries if e.is_dir()]
    except OSError:
        return []
    return sorted(step for name in names if (step := parse_step(name)) is not None)


def is_run(path: StrPath) -> bool:
    """Whether a folder is a run directory: one of its own files lies in it."""
    return any(Path(path, name).is_file() for name in (RUN_TOML, STATUS, METRICS, LOG))


def read_config(path: StrPath) -> dict[str, Any]:
    """The run.toml of the run directory `path`. Raises RunError, which names the file, if it cannot
    be read."""
    file = Path(path, RUN_TOML)
    try:
        return tomllib.loads(read_text(file, LARGEST_TOML))
    except FileNotFoundError as error:
        raise RunError(f"{file} is missing: not a run directory, or not copied whole") from error
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file} is not valid TOML in UTF-8: {error}") from error


def validate_run_name(name: str) -> str:
    """The name itself if a run may be called so; RunError says what is wrong with it otherwise.

    A name is one folder name that every shell, disk and terminal takes as it is.
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
        return "it has a path separator (where runs live is --out)"
    if name[0] in ".-":
        return f"it starts with {name[0]!r}"
    if name != name.strip():
        return "it starts or ends with a space"
    # Cc and Cs break terminals and files, Cf includes the characters that reverse what is shown.
    if any(unicodedata.category(character)[0] == "C" for character in name):
        return "it has control characters"
    return None


def new_run_name(out: StrPath, prefix: str = "run", clock: Callable[[], float] = time.time) -> str:
    """A name that is free in the folder `out`: prefix, month and day, hour and minute:
    "nano-1123-2057".

    Local time. Where that is taken, "nano-1123-2057-2" and so on. Raises RunError if `prefix`
    cannot be in a name.
    """
    stem = validate_run_name(f"{prefix}-{time.strftime('%m%d-%H%M', time.localtime(clock()))}")
    name, copy = stem, 1
    while os.path.lexists(Path(out, name)):
        copy += 1
        name = f"{stem}-{copy}"
    return validate_run_name(name)
