"""The command ``tinygpt-tui``. It imports nothing heavy until it must."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import trainer


def make_parser() -> argparse.ArgumentParser:
    """The training's options, and the interface's own."""
    parser = trainer.make_parser("tinygpt-tui", "A terminal laboratory for small GPTs.")
    parser.usage = "%(prog)s [RUN] [options]"
    parser.add_argument("run", nargs="?", metavar="RUN", default=None, help="a run to open")
    parser.add_argument(
        "--train-only", action="store_true", help="train without the interface, then exit"
    )
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if hasattr(options, "train_only"):
        if options.run is not None:
            parser.error(f"--train-only takes no RUN: name a new run by --name {options.run}")
        return trainer.command(options)
    sys.stderr.write("the interface is not built yet: use --train-only to train without it\n")
    return trainer.USAGE
