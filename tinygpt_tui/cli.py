"""The command ``tinygpt-tui``. Heavy imports are deferred to where they are needed."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tinygpt.command.options import Parser, training_parser
from tinygpt.command.results import entry_point
from tinygpt.command.streams import say
from tinygpt.errors import TinyGPTError
from tinygpt.fields import flag
from tinygpt.threads import limit_spinning
from tinygpt.tracking import names as trackers
from tinygpt_tui.commands import common, completion, export, generate, inspect, score, serve, track
from tinygpt_tui.shell import capabilities

WITHOUT_TRAINING = {
    "generate": generate.command,
    "score": score.command,
    "inspect": inspect.command,
    "export": export.command,
    "track_to": track.command,
}
COMMANDS = ("train_only", *WITHOUT_TRAINING, "serve")


def make_parser() -> Parser:
    """The parser for all options: training, commands and interface."""
    parser = training_parser("tinygpt-tui", "Train, sample and inspect small GPTs in the terminal.")
    parser.usage = "%(prog)s [RUN] [options]"
    parser.add_argument("run", nargs="?", metavar="RUN", default=None, help="the run to open")
    parser.add_argument(
        "--train-only", action="store_true", help="train without the interface, then exit"
    )
    generate.add_options(parser)
    score.add_options(parser)
    inspect.add_options(parser)
    export.add_options(parser)
    common.add_options(parser)
    track.add_options(parser)
    parser.add_argument(
        "--start",
        action="store_true",
        help="train at once what the options say, in the interface; without it, they fill the form",
    )
    serve.add_options(parser)
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--no-mouse", action="store_true", help="do not capture the mouse")
    completion.add_options(parser)
    return parser


@entry_point
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    limit_spinning()
    parser = make_parser()
    completion.answer(parser)
    words = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(words)
    if hasattr(options, "print_completion"):
        return completion.command(options)
    if hasattr(options, "prompts"):  # implies --generate
        options.generate = getattr(options, "generate", None)
    commands = [name for name in COMMANDS if hasattr(options, name)]
    if len(commands) > 1:
        first, second = map(flag, commands[:2])
        parser.error(f"{first} and {second} exclude each other: give one of them")
    if commands not in ([], ["serve"]) and (
        own := sorted(vars(options).keys() & {"ascii", "no_mouse", "start"})
    ):
        parser.error(
            f"{flag(own[0])} is for the interface: it has no effect with {flag(commands[0])}"
        )
    for name, work in WITHOUT_TRAINING.items():
        if hasattr(options, name):
            return work(options)
    _refuse_options_of_commands(parser, options)
    if hasattr(options, "train_only"):
        if options.run is not None:
            parser.error(f"--train-only takes no RUN: name a new run with --name {options.run}")
        from tinygpt.command import train

        return train.command(options)
    return open_app(parser, options, words)


def _refuse_options_of_commands(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Exit with an error for an option of a command that is not given."""
    if hasattr(options, "step"):
        parser.error(
            "--step is for --generate PROMPT, --score FILE, --inspect TEXT and --export hf; "
            "a run's length is --steps"
        )
    if hasattr(options, "stride"):
        parser.error("--stride is for --score FILE")
    if hasattr(options, "inspect_out"):
        parser.error("--inspect-out is for --inspect TEXT")
    if hasattr(options, "port") and not hasattr(options, "serve"):
        parser.error("--port is for --serve")
    if own := sorted(vars(options).keys() & {*generate.SAMPLING, "samples"}):
        parser.error(f"{flag(own[0])} is for --generate PROMPT")


def open_app(
    parser: argparse.ArgumentParser, options: argparse.Namespace, words: Sequence[str]
) -> int:
    """Run the interface, as `words` say, here or on pages; returns the exit status."""
    if hasattr(options, "json"):
        parser.error("--json is for --train-only, --generate, --score, --inspect and --export")
    if hasattr(options, "after"):
        parser.error("--after is for --train-only: the app asks when to start a run")
    if group := sorted(vars(options).keys() & {"seeds", "grid", "jobs", "group"}):
        parser.error(f"{flag(group[0])} is for --train-only: the app starts one run at a time")
    from tinygpt_tui import opening

    try:
        plan = opening.plan(options)
        if hasattr(options, "serve"):
            return serve.command(options, words)
    except TinyGPTError as error:
        parser.error(str(error))
    if problem := capabilities.problem():
        parser.error(problem)
    capabilities.forget_size()
    ascii_only = hasattr(options, "ascii") or capabilities.needs_ascii()
    # The rate at which Textual checks for repaints: a key's effect shows after 4 ms instead of 17.
    os.environ.setdefault("TEXTUAL_FPS", "240")
    from tinygpt.command import gpus_option
    from tinygpt_tui.app import LabApp
    from tinygpt_tui.launch import trainer_process

    trainer_process.set_options([*trackers.as_options(options), *gpus_option.as_options(options)])
    app = LabApp(Path(options.out), plan.run, ascii=ascii_only, first=plan.first)
    # Imported objects are never garbage; without this a full collection scans them all, which
    # delays a key by 50 to 100 ms.
    gc.freeze()
    app.run(mouse=not hasattr(options, "no_mouse"))
    for line in app.control.parting_words():
        say(line)
    return app.return_code or 0
