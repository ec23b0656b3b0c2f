"""The command ``tinygpt-tui``. It imports nothing heavy until it must."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tinygpt.command.options import training_parser
from tinygpt.fields import flag
from tinygpt_tui.commands import generate, inspect


def make_parser() -> argparse.ArgumentParser:
    """The training's options, and the interface's own."""
    parser = training_parser("tinygpt-tui", "A terminal laboratory for small GPTs.")
    parser.usage = "%(prog)s [RUN] [options]"
    parser.add_argument("run", nargs="?", metavar="RUN", default=None, help="a run to open")
    parser.add_argument(
        "--train-only", action="store_true", help="train without the interface, then exit"
    )
    generate.add_options(parser)
    inspect.add_options(parser)
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    commands = [name for name in ("train_only", "generate", "inspect") if hasattr(options, name)]
    if len(commands) > 1:
        first, second = map(flag, commands[:2])
        parser.error(f"{first} and {second} are two things: give one of them")
    if commands and (own := sorted(vars(options).keys() & {"ascii", "no_mouse"})):
        parser.error(
            f"{flag(own[0])} is for the interface: leave it out beside {flag(commands[0])}"
        )
    if hasattr(options, "generate"):
        return generate.command(options)
    if hasattr(options, "inspect"):
        return inspect.command(options)
    if hasattr(options, "inspect_out"):
        parser.error("--inspect-out is for --inspect TEXT")
    if sampling := sorted(vars(options).keys() & generate.SAMPLING.keys()):
        parser.error(f"{flag(sampling[0])} is for --generate PROMPT")
    if hasattr(options, "train_only"):
        if options.run is not None:
            parser.error(f"--train-only takes no RUN: name a new run by --name {options.run}")
        from tinygpt.command import train

        return train.command(options)
    return open_app(parser, options)


def open_app(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Run the interface; the exit status."""
    own = {"run", "out", "ascii", "no_mouse"}
    if hasattr(options, "json"):
        parser.error("--json is for --train-only, --generate and --inspect")
    if settings := sorted(vars(options).keys() - own):
        parser.error(f"{flag(settings[0])} is for --train-only; in the interface, n asks for it")
    run = find_run(options.run, options.out) if options.run is not None else None
    if options.run is not None and run is None:
        parser.error(f"there is no run {options.run!r}, neither as a path nor in {options.out}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        parser.error("the interface needs a terminal: use --train-only to train without one")
    # Without colour, curves are told apart by their glyphs alone.
    poor = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("linux", "dumb")
    ascii_only = hasattr(options, "ascii") or bool(poor)
    # How often textual looks for something to repaint, not how often there is: an answer to a key
    # waits for a 240th of a second instead of a 60th.
    os.environ.setdefault("TEXTUAL_FPS", "240")
    from tinygpt_tui.app import LabApp

    app = LabApp(Path(options.out), run, ascii=ascii_only)
    # What was imported is never garbage, and a whole collection would look through all of it, for
    # 50 to 100 ms, while a key waits.
    gc.freeze()
    app.run(mouse=not hasattr(options, "no_mouse"))
    return app.return_code or 0


def find_run(name: str, out: str) -> Path | None:
    """A run by its path or by its name in `out`; a variant or step directory stands for its run."""
    from tinygpt.run import is_run

    for path in (Path(name), Path(out, name)):
        for folder in (path, *path.absolute().parents[:2]):
            if is_run(folder):
                return folder
    return None
