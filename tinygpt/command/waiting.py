"""``--after RUN``: wait for another run, or a group of runs, to end, then train.

What a user can get wrong is found before the wait, which may take hours; nothing that is large is
loaded until it is over.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tinygpt import child_process
from tinygpt import config as configuration
from tinygpt.command import gpus_option, portable
from tinygpt.command.corpora import find_corpora, with_token_folder
from tinygpt.command.options import training_parser
from tinygpt.command.streams import say
from tinygpt.data.splits import check_length
from tinygpt.errors import ConfigError, RunError, TinyGPTError
from tinygpt.presets import Scalar
from tinygpt.run import read_state, reserve_run, validate_run_name
from tinygpt.run.lookup import find_run_or_group
from tinygpt.run.queue import Queued, leave_queue, read_entry
from tinygpt.tracking import names as trackers

_DEVICE_PROBLEM = """
import sys
from tinygpt.device import find_device_type
from tinygpt.errors import ConfigError
try:
    find_device_type(sys.argv[1])
except ConfigError as error:
    print(error)
"""
_DEVICE_TIMEOUT = 120.0
"""Seconds: a GPU of a busy machine may take long to answer."""


@contextmanager
def turn(options: argparse.Namespace) -> Iterator[bool]:
    """Wait until the run of ``--after`` has ended, if that is given; whether training is to begin.
    The run to train is then named by `options`.

    If training cannot begin in the with-block, the run's folder says why.

    Raises:
        TinyGPTError: an option cannot be used, or the run's folder cannot be written.
    """
    if not hasattr(options, "after"):
        yield True
        return
    queued = _take_place(options)
    try:
        say(f"queued: {queued.run.name} begins when {queued.after.name} ends")
        begins = queued.wait()
    except BaseException:  # a signal
        queued.cancel()
        raise
    if not begins:
        queued.cancel()
        say(f"{queued.run.name} was taken from the queue: nothing was trained")
        yield False
        return
    queued.begin()
    try:
        yield True
    except TinyGPTError as error:
        queued.fail(str(error))
        raise


def without_wait(options: argparse.Namespace, run: Path) -> argparse.Namespace | None:
    """To ``--resume`` a run that was queued and never began is to start it: its options then, with
    those that are given now; None for any other run. Its folder is made ready.

    Raises:
        RunError: its process lives and waits.
    """
    entry = read_entry(run)
    if entry is None:
        return None
    if (state := read_state(run)).active:
        raise RunError(f"{run} is queued: it {state.reason}")
    place = ("--name", run.name, "--out", str(run.parent))
    kept = training_parser("", "").parse_args([*entry.arguments, *place])
    given = vars(options)
    for name in given.keys() - {"resume", "name", "out"}:
        setattr(kept, name, given[name])
    leave_queue(run)
    return kept


def _take_place(options: argparse.Namespace) -> Queued:
    if hasattr(options, "resume"):
        raise ConfigError("--after is for a new run: leave it out with --resume")
    after = find_run_or_group(options.after, options.out)
    requested = portable.requested(options)
    _check(requested)
    _freeze(options, requested)
    if hasattr(options, "name"):
        run = Path(options.out, validate_run_name(options.name))
    else:
        run = reserve_run(options.out, str(requested.get("preset", "run")))
        options.name = run.name
    words = [
        *portable.as_options(requested),
        *trackers.as_options(options),
        *gpus_option.as_options(options),
    ]
    return Queued(run, after, words)


def _check(requested: Mapping[str, Scalar]) -> None:
    """Raises TinyGPTError for what can be found wrong with a run before it is trained."""
    config = with_token_folder(configuration.build({"preset": "nano", **requested}))
    corpus, _ = find_corpora(config)
    if "preset" in requested:  # else the context is not known yet
        check_length(corpus.characters, config.gpt.context, config.shares)
    _check_device(config.device)


def _check_device(name: str) -> None:
    """Raises ConfigError if the device is not there. Torch, which knows, is asked in another
    process: it would take memory for as long as this one waits."""
    if name in ("auto", "cpu"):
        return
    command = [sys.executable, "-P", "-c", _DEVICE_PROBLEM, name]
    with suppress(OSError, subprocess.TimeoutExpired):  # then it is found after the wait
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=child_process.environment(),
            timeout=_DEVICE_TIMEOUT,
            check=False,
        )
        if done.returncode == 0 and (problem := done.stdout.strip()):
            raise ConfigError(problem)


def _freeze(options: argparse.Namespace, requested: Mapping[str, Scalar]) -> None:
    """Put the settings in the place of --config, which may be another file after the wait."""
    for name, value in requested.items():
        setattr(options, name, value)
    vars(options).pop("config", None)
