"""Train as the parsed options say: prepare or resume a session, run it, return the exit status.

torch, rich and whatever imports them are imported only where they are needed: a mistake in the
settings is reported before torch is loaded, which takes a second and a half.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tinygpt import config as configuration
from tinygpt import hints
from tinygpt.command import group, waiting
from tinygpt.command.interrupts import Interrupts
from tinygpt.command.options import USAGE, settings
from tinygpt.command.progress import REMEMBERED, ProgressTracker
from tinygpt.command.results import DONE, FAILED, OutputError, print_json, print_text
from tinygpt.command.streams import safe, say
from tinygpt.command.train_log import LoggedWarnings, TrainLog
from tinygpt.errors import RunError, TinyGPTError
from tinygpt.presets import preset_for
from tinygpt.run import Record, newest_run, read_config, validate_run_name
from tinygpt.run.tail import recent_losses

if TYPE_CHECKING:
    from tinygpt.command.display import Display
    from tinygpt.data.corpus import Corpus
    from tinygpt.training import Outcome, Session


_FIRST_WORDS = re.compile(r"\w[\w ]{,30}\w:?|\w")
"""A prompt from a corpus, which the tokenizer is sure to know: nothing that a shell or a locale
would have to escape, in most languages."""


def command(options: argparse.Namespace) -> int:
    """Train a run or a group; returns the exit status. A user's mistake is one line on stderr."""
    if group.is_asked_for(options):
        return group.command(options)
    interrupts, logged = Interrupts(), LoggedWarnings()
    try:
        with interrupts, logged, ExitStack() as stack:
            if not stack.enter_context(waiting.turn(options)):
                return DONE
            session = prepare(options)
            stack.callback(session.writer.close)
            return _train(session, interrupts, logged, as_json=hasattr(options, "json"))
    except TinyGPTError as error:
        say(str(error))
        return FAILED if interrupts.training else USAGE
    except KeyboardInterrupt:
        training = interrupts.training
        where = "; the last checkpoint is intact" if training else " before training began"
        say(f"interrupted{where}")
        return 128 + (interrupts.signal or signal.SIGINT)


def prepare(options: argparse.Namespace) -> Session:
    """A new or resumed session.

    Raises:
        TinyGPTError: settings, corpus or run cannot be used.
    """
    if hasattr(options, "resume"):
        path = _run_to_resume(options)
        begun = waiting.without_wait(options, path)
        if begun is None:
            return _resume(path, settings(options))
        options = begun
    requested = settings(options)
    config = _new_config(requested)
    from tinygpt.training import begin  # noqa: PLC0415

    corpus = _find_corpus(config.data)
    argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    name, of = getattr(options, "name", None), getattr(options, "group", None)
    session = begin(config, corpus, options.out, name, argv, group=of)
    for line in (f"corpus: {corpus.source}", *session.notes):
        say(line)
    return session


def _new_config(requested: dict[str, object]) -> configuration.RunConfig:
    """The configuration of a new run; the preset "auto" depends on the device."""
    if requested.get("preset", "auto") != "auto":
        return configuration.build(requested)
    config = configuration.build({**requested, "preset": "nano"})  # finds mistakes before torch
    from tinygpt.device import find_device_type  # noqa: PLC0415

    preset = preset_for(find_device_type(config.device))
    return configuration.build({**requested, "preset": preset})


def _resume(path: Path, requested: dict[str, object]) -> Session:
    if requested.get("preset") == "auto":
        del requested["preset"]
    from tinygpt.training import resume  # noqa: PLC0415
    from tinygpt.training.rewarming import in_words  # noqa: PLC0415

    session = resume(path, requested)
    for note in session.notes:
        say(f"warning: {note}")
    steps = ", ".join(f"{v.variant} from step {v.progress.step:,}" for v in session.learners)
    say(f"resuming {path}: {steps}")
    if (sentence := in_words(session.learners)) is not None:
        say(sentence)
    return session


def _run_to_resume(options: argparse.Namespace) -> Path:
    if (name := getattr(options, "name", None)) is not None:
        path = Path(options.out, validate_run_name(name))
        if not os.path.isdir(path):
            raise RunError(f"--resume: there is no run {name!r} in {options.out}")
        return path
    newest = newest_run(options.out)
    if newest is None:
        raise RunError(
            f"--resume: there is no run in {options.out}; leave out --resume to start one"
        )
    return newest.path


def _find_corpus(data: str) -> Corpus:
    from tinygpt.data.corpus import find_corpus  # noqa: PLC0415

    if not sys.stderr.isatty():
        return find_corpus(data)
    from tinygpt.command.display import DownloadBar  # noqa: PLC0415

    with DownloadBar() as bar:
        return find_corpus(data, progress=bar)


def _train(
    session: Session, interrupts: Interrupts, logged: LoggedWarnings, *, as_json: bool
) -> int:
    """Run the loop under a display, then print how it ended."""
    from tinygpt.command.display import Bars, Lines  # noqa: PLC0415
    from tinygpt.command.notes import Notes  # noqa: PLC0415
    from tinygpt.training import Loop  # noqa: PLC0415
    from tinygpt.training.malloc import keep_freed_memory  # noqa: PLC0415

    keep_freed_memory()
    say(_opening(session))
    for remark in _remarks(session):
        say(remark)
    if session.tokenizer.kind != "char":
        say(_tokens(session))
    if session.val_tokens:
        say(_validation(session, session.val_tokens))
    progress = {v.variant: v.progress for v in session.learners}
    steps = {variant: known.step for variant, known in progress.items()}
    losses = recent_losses(session.path, steps, REMEMBERED)
    tracker = ProgressTracker(session.config, progress, losses)
    notes = Notes(session.learners)
    log = TrainLog(session.path)
    interrupts.training = True
    with log, ExitStack() as stack:
        display: Display = Bars(tracker) if sys.stderr.isatty() else Lines()
        stack.enter_context(display)
        stack.enter_context(logged.to(log, display.say))

        def observe(record: Record) -> None:
            if line := tracker.add(record):
                log.write(line)
                display.line(line)
            for note in notes.add(record):
                log.write(note)
                display.say(note)
            display.refresh()

        outcome = Loop(session, observe=observe, interrupted=interrupts.signal_name).run()
        for text in (outcome.trace, f"{outcome.state}: {outcome.reason}"):
            log.write(text or "")
    status = _close(session, outcome, interrupts, as_json=as_json)
    read = not log.is_stderr and not _in_group(session)
    if read and status == DONE and outcome.state == "done":
        for line in _next_commands(session):
            say(line)
    return status


def _opening(session: Session) -> str:
    from tinygpt.training.session import device_names  # noqa: PLC0415

    sizes = []
    for learner in session.learners:
        total, active = learner.model.parameter_counts()
        only = f" ({active:,} active)" if active < total else ""
        sizes.append(f"{learner.variant} {total:,} parameters{only}")
    return f"{', '.join(sizes)}; on {device_names(session.learners)}; run {session.path}"


def _remarks(session: Session) -> list[str]:
    from tinygpt.device import remarks  # noqa: PLC0415

    return remarks(sorted(set(session.devices.values())), session.config.device)


def _tokens(session: Session) -> str:
    tokenizer, units = session.tokenizer, session.whole_units
    return (
        f"tokens: {tokenizer.kind} {tokenizer.vocab_size:,}, "
        f"{units.characters_per_token:.2f} characters each on average"
    )


def _validation(session: Session, sample: int) -> str:
    from tinygpt.training.evaluation import tokens_in  # noqa: PLC0415

    whole = tokens_in(session.whole_validation)
    return (
        f"validation: a fixed sample of {sample:,} of {whole:,} tokens while training, "
        "all of them at the end"
    )


def _close(session: Session, outcome: Outcome, interrupts: Interrupts, *, as_json: bool) -> int:
    """Print the results; returns the exit status."""
    printed = _print_results(session, outcome, as_json=as_json)
    if outcome.state == "failed":
        where = f"; see the traceback in {session.path / 'train.log'}" if outcome.trace else ""
        say(f"failed: {outcome.error}{where}")
        return FAILED
    if outcome.state == "stopped":
        hint = f"; continue with: {hints.resume_headless(session.path)}"
        say(
            f"stopped ({outcome.reason}), checkpoints are saved{'' if _in_group(session) else hint}"
        )
        if interrupts.signal:
            return 128 + interrupts.signal
    return DONE if printed else FAILED


def _in_group(session: Session) -> bool:
    """Whether the run is one of a group, which has commands of its own."""
    return "group" in read_config(session.path)


def _next_commands(session: Session) -> Iterator[str]:
    """What to do with a finished run, as commands."""
    yield f"open it with: {hints.open_run(session.path)}"
    if words := _FIRST_WORDS.search(session.corpus.text):
        yield f"generate with: {hints.generate(session.path, words[0])}"


def _print_results(session: Session, outcome: Outcome, *, as_json: bool) -> bool:
    """Whether the results could be printed; they need not be if nobody reads them any more."""
    from tinygpt.command.table import report, table  # noqa: PLC0415

    try:
        if as_json:
            safe(sys.stderr).write(table(outcome.models, sys.stderr))
            print_json(report(session, outcome))
        else:
            print_text(table(outcome.models, sys.stdout))
    except OutputError as error:
        say(f"{error}; the run is in {session.path}")
        return False
    except BrokenPipeError:
        pass
    return True
