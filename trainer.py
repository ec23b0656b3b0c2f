"""Train from the command line: ``python trainer.py …`` or ``python -m trainer …``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tinygpt.command.options import training_parser
from tinygpt.command.results import entry_point
from tinygpt.threads import limit_spinning


@entry_point
def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say; returns the exit status."""
    limit_spinning()
    parser = training_parser(
        "trainer.py", "Train small GPTs, Dense and MoE, from the command line."
    )
    options = parser.parse_args(argv)
    from tinygpt.command.train import command  # noqa: PLC0415 - --help needs none of it

    return command(options)


if __name__ == "__main__":
    sys.exit(main())
