"""What the app does first, as the command line says: open a run, fill the form, start, resume.

Mistakes are found here, before the terminal is taken over.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tinygpt.command import gpus_option
from tinygpt.command.options import settings
from tinygpt.config import END_SETTINGS, build
from tinygpt.errors import ConfigError, RunError
from tinygpt.fields import as_text, flag
from tinygpt.run import newest_run, read_state
from tinygpt.run.lookup import find_run, run_of
from tinygpt.run.manage import rename_problem, resume_problem
from tinygpt.tracking import names as trackers
from tinygpt_tui.launch import cost
from tinygpt_tui.screens import form

if TYPE_CHECKING:
    from tinygpt_tui.app import LabApp


class Plan(NamedTuple):
    """What to open, and what to do then."""

    run: Path | None
    """None for the latest one."""
    first: Callable[[LabApp], None] = lambda _: None


def plan(options: argparse.Namespace) -> Plan:
    """What the app does first.

    Raises:
        TinyGPTError: the options contradict each other, or one of them cannot be used.
    """
    run = run_to_open(options.run, options.out) if options.run is not None else None
    given = settings(options)
    trackers.check(options)
    gpus_option.check(options)
    if hasattr(options, "resume"):
        return _resume(options, run, given)
    words = [flag(name) for name in (*given, "name") if name in given or hasattr(options, name)]
    words += ["--start"] if hasattr(options, "start") else []
    if run is not None and hasattr(options, "track"):
        raise ConfigError(
            f"--track is for a training: send {options.run} with --track-to, or leave it out"
        )
    if run is not None and words:
        raise ConfigError(
            f"{words[0]} is for a new run: leave out {options.run}, or give no settings to open it"
        )
    if not words and not hasattr(options, "config"):
        return Plan(run)
    values = _values(options, given)
    if not hasattr(options, "start"):
        return Plan(None, lambda app: app.control.fill_form(values))
    chosen = form.settings(values)
    new_run = form.new_run(values.get(form.NAME, ""), chosen, build(chosen))
    return Plan(None, lambda app: app.control.start(new_run))


def _values(options: argparse.Namespace, given: dict[str, object]) -> dict[str, str]:
    """The values of the form, by dotted name, once they are found to be valid."""
    chosen = {**given, "preset": given.get("preset", "auto")}
    if chosen["preset"] == "auto":
        chosen["preset"] = cost.default_preset()
    build(chosen)
    if problem := form.data_problem(str(given.get("data", "auto"))):
        raise ConfigError(f"--data: {problem}")
    values = {name: as_text(value) for name, value in chosen.items() if value is not None}
    name = getattr(options, "name", None)
    if name is None:
        return values
    if problem := rename_problem(Path(options.out, name), name):
        raise RunError(f"--name: {problem}")
    return {form.NAME: name, **values}


def _resume(options: argparse.Namespace, run: Path | None, given: dict[str, object]) -> Plan:
    """Resume a run at once: RUN, --name, or the newest one."""
    if hasattr(options, "start"):
        raise ConfigError("--start is for a new run: leave it out with --resume, which starts too")
    name = getattr(options, "name", None)
    if run is not None and name is not None:
        raise ConfigError(
            f"--name {name} and {options.run} both name the run: leave out one of them"
        )
    if name is not None:
        run = run_to_open(name, options.out)
    path = run or _newest_run(options.out)
    problem = resume_problem(path, state := read_state(path))
    later = any(setting in given for setting in END_SETTINGS)
    if problem and not (later and state.state == "done"):
        raise RunError(f"--resume: {problem}")
    words = [f"{flag(setting)}={as_text(value)}" for setting, value in given.items()]
    return Plan(path, lambda app: app.control.resume_run(path, words))


def _newest_run(out: str) -> Path:
    newest = newest_run(out)
    if newest is None:
        raise RunError(f"--resume: there is no run in {out}; leave out --resume to start one")
    return newest.path


def run_to_open(name: str, out: str) -> Path:
    """The directory of a run given by path (or that of a variant or step in it), or by name.

    Raises:
        RunError: there is none, or it cannot be looked at.
    """
    path = find_run(name, out)
    if (run := run_of(path)) is None:
        raise RunError(f"{path} is not a run: it has models, but none of a run's files")
    return run
