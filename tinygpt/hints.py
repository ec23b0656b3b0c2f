"""Commands that messages tell the user to run: complete and quoted, so that they can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

OUT = "checkpoints"
"""The folder of runs unless ``--out`` names another."""
_APP, _TRAINER = "tinygpt-tui", "trainer.py"


def open_run(run: Path) -> str:
    """The command that opens a run in the app."""
    return shlex.join([*_app(), *_named(run)])


def generate(run: Path, prompt: str) -> str:
    """The command that continues a prompt with a run's best model."""
    # In one word with its flag, a prompt may start with a dash.
    words = [f"--generate={prompt}"] if prompt.startswith("-") else ["--generate", prompt]
    return shlex.join([*_app(), *_named(run), *words])


def track(run: Path, tracker: str) -> str:
    """The command that sends a run to a tracker."""
    return shlex.join([*_app(), *_named(run), "--track-to", tracker])


def resume_in_app(run: Path, *options: str) -> str:
    """The command that resumes a run and shows it in the app."""
    return shlex.join([*_app(), *_named(run), "--resume", *options])


def resume_headless(run: Path, *options: str) -> str:
    """The command that resumes a run as this process trains it, without the app."""
    program = [_python(), sys.argv[0]] if is_trainer() else [*_app(), "--train-only"]
    return shlex.join([*program, "--resume", "--name", run.name, *_out(run), *options])


def is_trainer() -> bool:
    """Whether this process was started by the script trainer.py."""
    return os.path.basename(sys.argv[0]) == _TRAINER


def _named(run: Path) -> list[str]:
    """The words that name a run: its name, unless something else here has that name."""
    return [str(run)] if os.path.lexists(run.name) else [run.name, *_out(run)]


def _out(run: Path) -> list[str]:
    """The option for the folder of a run, if it needs one."""
    default = os.path.abspath(run.parent) == os.path.abspath(OUT)
    return [] if default else ["--out", str(run.parent)]


def _app() -> list[str]:
    """The words that start the app in the user's shell, where the folder of its script may not be
    on the PATH."""
    started, beside = Path(sys.argv[0]), Path(sys.executable).with_name(_APP)
    for script in (started, beside):
        if script.name == _APP and os.path.isfile(script):
            found = shutil.which(_APP)
            on_path = found is not None and os.path.samefile(found, script)
            return [_APP if on_path else _short(str(script))]
    return [_python(), "-m", "tinygpt_tui"]


def _python() -> str:
    """The Python that runs this. Another one on the PATH may be a link to the same file, but have
    other packages."""
    name = Path(sys.executable).name
    found = shutil.which(name)
    on_path = found is not None and os.path.abspath(found) == sys.executable
    return name if on_path else _short(sys.executable)


def _short(path: str) -> str:
    """A path relative to the current folder if it lies in there."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else os.path.join(os.curdir, relative)
