"""``--after RUN``: wait for another run to end, then train.

What a user can get wrong is found before the wait, which may take hours; nothing that is large is
loaded until it is over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tinygpt import config as configuration
from tinygpt.command.options import settings, training_parser, without
from tinygpt.command.streams import say
from tinygpt.data.corpus import check_length, find_corpus
from tinygpt.errors import ConfigError, RunError, TinyGPTError
from tinygpt.run import read_state, reserve_run, validate_run_name
from tinygpt.run.lookup import find_run, run_of
from tinygpt.run.queue import Queued, leave_queue, read_entry


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
    after = run_of(find_run(options.after, options.out)) or Path(options.after)
    requested = settings(options)
    preset = requested.get("preset", "auto")
    checked = configuration.build(
        requested if preset != "auto" else {**requested, "preset": "nano"}
    )
    corpus = find_corpus(checked.data)
    if preset != "auto":  # else the context is not known yet
        check_length(corpus.text, checked.gpt.context)
    if hasattr(options, "name"):
        run = Path(options.out, validate_run_name(options.name))
    else:
        run = reserve_run(options.out, "run" if preset == "auto" else str(preset))
        options.name = run.name
    queued = Queued(run, after, kept_arguments(sys.argv[1:]))
    say(f"queued: {run.name} begins when {after.name} ends")
    return queued


def kept_arguments(words: Sequence[str]) -> list[str]:
    """The options of a command without those that name the run or say how it is started."""
    started = ("--train-only", "--json")
    return [word for word in without(words, "--after", "--name", "--out") if word not in started]
