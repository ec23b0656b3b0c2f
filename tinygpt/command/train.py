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
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tinygpt import config as configuration
from tinygpt import hints
from tinygpt.command import gpus_option, group, processes, waiting
from tinygpt.command.corpora import find_corpora, with_token_folder
from tinygpt.command.initial_run import with_initial_run
from tinygpt.command.interrupts import Interrupts
from tinygpt.command.options import USAGE, settings
from tinygpt.command.progress import REMEMBERED, ProgressTracker
from tinygpt.command.results import DONE, FAILED, OutputError, print_json, print_text
from tinygpt.command.resumed_run import run_to_resume
from tinygpt.command.streams import safe, say
from tinygpt.command.text_progress import text_progress
from tinygpt.command.train_log import LoggedWarnings, TrainLog
from tinygpt.errors import TinyGPTError
from tinygpt.presets import preset_for
from tinygpt.run import Record, read_config
from tinygpt.run.tail import recent_losses
from tinygpt.tracking import names as trackers
from tinygpt.tracking.processes import Trackers
from tinygpt.tracking.state import followed_by

if TYPE_CHECKING:
    from tinygpt.command.display import Display
    from tinygpt.training import Outcome, Session
    from tinygpt.world import World


_FIRST_WORDS = re.compile(r"\w[\w ]{,30}\w:?|\w")
"""A prompt from a corpus, which the tokenizer is sure to know: nothing that a shell or a locale
would have to escape, in most languages."""


def command(options: argparse.Namespace) -> int:
    """Train a run or a group; returns the exit status. A user's mistake is one line on stderr."""
    first = processes.rank() == 0
    interrupts, logged = Interrupts(at_once=processes.count() == 1), LoggedWarnings()
    try:
        processes.refuse(options)
        if group.is_asked_for(options):
            return group.command(options)
        trackers.check(options)
        with interrupts, logged, ExitStack() as stack:
            if not stack.enter_context(waiting.turn(options)):
                return DONE
            if processes.are_to_start(options):
                return processes.start(options, sys.argv[1:])
            world = processes.join()
            session = prepare(options, world)
            stack.callback(session.writer.close)
            stack.callback(world.close)
            processes.watch(world, session, interrupts)
            if not world.first:
                return processes.follow(session, interrupts)
            return _train(session, options, interrupts, logged)
    except TinyGPTError as error:
        if processes.speaks():
            say(str(error) if first else f"rank {processes.rank()}: {error}")
        return FAILED if interrupts.training else USAGE
    except KeyboardInterrupt:
        training = interrupts.training
        where = "; the last checkpoint is intact" if training else " before training began"
        if first:
            say(f"interrupted{where}")
        return 128 + (interrupts.signal or signal.SIGINT)


def prepare(options: argparse.Namespace, world: World) -> Session:
    """A new or resumed session of the processes of `world`.

    Raises:
        TinyGPTError: settings, corpus or run cannot be used.
    """
    if processes.are_resuming(options, world):
        path = run_to_resume(options) if world.first else Path()
        begun = waiting.without_wait(options, path) if world.first else None
        if begun is None:
            return _resume(path, settings(options), world)
        options = begun
    requested = with_initial_run(settings(options), options.out)
    config = with_token_folder(_new_config(requested))
    from tinygpt.training import begin  # noqa: PLC0415

    argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    name, of = getattr(options, "name", None), getattr(options, "group", None)
    with text_progress() as report:
        with world.in_turn():
            corpus, validation = find_corpora(config, report)
        session = begin(
            config,
            corpus,
            options.out,
            name,
            argv,
            group=of,
            validation=validation,
            report=report,
            world=world,
        )
    if not world.first:
        return session
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


def _resume(path: Path, requested: dict[str, object], world: World) -> Session:
    if requested.get("preset") == "auto":
        del requested["preset"]
    from tinygpt.training import resume  # noqa: PLC0415
    from tinygpt.training.rewarming import in_words  # noqa: PLC0415

    with text_progress() as report:
        session = resume(path, requested, report, world)
    if not world.first:
        return session
    for note in session.notes:
        say(f"warning: {note}")
    steps = ", ".join(f"{v.variant} from step {v.progress.step:,}" for v in session.learners)
    say(f"resuming {path}: {steps}")
    if (sentence := in_words(session.learners)) is not None:
        say(sentence)
    return session


def _train(
    session: Session, options: argparse.Namespace, interrupts: Interrupts, logged: LoggedWarnings
) -> int:
    """Run the loop under a display, then print how it ended."""
    from tinygpt.command.display import Bars, Lines  # noqa: PLC0415
    from tinygpt.command.notes import Notes  # noqa: PLC0415
    from tinygpt.training import Loop  # noqa: PLC0415
    from tinygpt.training.malloc import keep_freed_memory  # noqa: PLC0415

    keep_freed_memory()
    for line in _introduction(session):
        say(line)
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

        def remark(text: str) -> None:
            log.write(text)
            display.say(text)

        following = stack.enter_context(_trackers(session.path, options, remark))

        def observe(record: Record) -> None:
            if line := tracker.add(record):
                log.write(line)
                display.line(line)
            for note in notes.add(record):
                remark(note)
            display.refresh()
            following.look()

        outcome = Loop(session, observe=observe, interrupted=interrupts.signal_name).run()
        for text in (outcome.trace, f"{outcome.state}: {outcome.reason}"):
            log.write(text or "")
    status = _close(session, outcome, interrupts, options)
    read = not log.is_stderr and not _in_group(session)
    if read and status == DONE and outcome.state == "done":
        for line in _next_commands(session):
            say(line)
    following.say = say
    following.finish(lambda: bool(interrupts.signal))
    return status


def _trackers(run: Path, options: argparse.Namespace, remark: Callable[[str], None]) -> Trackers:
    """The trackers of the command line; if it names none, those that followed the run so far."""
    names = getattr(options, "track", None)
    if names is None:
        before = followed_by(run)
        names = [name for name in before if trackers.missing(name) is None]
        for name in before:
            if name not in names:
                remark(f"{name} followed this run, and does not now: {trackers.missing(name)}")
    return Trackers(run, names, model=hasattr(options, "track_model"), say=remark)


def _introduction(session: Session) -> Iterator[str]:
    """What is about to be trained, in lines."""
    yield _opening(session)
    yield from _remarks(session)
    if session.tokenizer.kind != "char":
        yield _tokens(session)
    if session.val_tokens:
        yield _validation(session, session.val_tokens)


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
    from tinygpt.training import disk_plan  # noqa: PLC0415

    disk = disk_plan.in_words(session.kept, session.config, session.path)
    about_devices = remarks(sorted(set(session.devices.values())), session.config.device)
    return [*about_devices, *([disk] if disk else [])]


def _tokens(session: Session) -> str:
    tokenizer, units = session.tokenizer, session.units
    return (
        f"tokens: {tokenizer.kind} {tokenizer.vocab_size:,}, "
        f"{units.characters_per_token:.2f} characters each on average"
    )


def _validation(session: Session, sample: int) -> str:
    from tinygpt.training.evaluation import is_evaluated_whole, tokens_in  # noqa: PLC0415

    whole, config = tokens_in(session.whole_validation), session.config
    text = f"validation: a fixed sample of {sample:,} of {whole:,} tokens"
    if config.steps is None:
        return f"{text} while training, all of them at the end of a training that is long enough"
    is_whole = is_evaluated_whole(whole, config.steps * config.batch_tokens)
    return f"{text} while training, all of them at the end" if is_whole else text


def _close(
    session: Session, outcome: Outcome, interrupts: Interrupts, options: argparse.Namespace
) -> int:
    """Print the results; returns the exit status."""
    printed = _print_results(session, outcome, as_json=hasattr(options, "json"))
    if outcome.state == "failed":
        where = f"; see the traceback in {session.path / 'train.log'}" if outcome.trace else ""
        say(f"failed: {outcome.error}{where}")
        return FAILED
    if outcome.state == "stopped":
        command = hints.resume_headless(session.path, *gpus_option.as_options(options))
        hint = f"; continue with: {command}"
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
    if words := _FIRST_WORDS.search(session.corpus.facts.opening):
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
