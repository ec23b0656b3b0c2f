"""``tinygpt-tui RUN --track-to NAMES``: send a run to trackers, from its records."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygpt.command.options import TrackerNames
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError, RunError
from tinygpt_tui.commands.common import reject_other_options, status_of

FAILED = 1
OWN = {"run", "out", "track_to", "track_model"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --track-to."""
    group = parser.add_argument_group("send a run to trackers, instead of opening the interface")
    group.add_argument(
        "--track-to",
        metavar="NAMES",
        action=TrackerNames,
        help="send what RUN has recorded to tensorboard, wandb or trackio, or to several (a,b); "
        "what they have of it is not sent again, and one that is being trained is followed",
    )


def command(options: argparse.Namespace) -> int:
    """Send a run; returns the exit status. An error of the user is one line on stderr."""
    sent = True

    def work() -> None:
        nonlocal sent
        sent = _send(options)

    return status_of(work) or (0 if sent else FAILED)


def _send(options: argparse.Namespace) -> bool:
    """Whether all of the trackers have got it.

    Raises:
        TinyGPTError: there is no such run, or another option is given too.
    """
    from tinygpt.run import current_run, read_state  # noqa: PLC0415 - not for --help
    from tinygpt.run.lookup import find_run, run_of  # noqa: PLC0415
    from tinygpt.tracking.processes import send  # noqa: PLC0415

    reject_other_options(vars(options), OWN, "--track-to")
    if not options.track_to:
        raise ConfigError("--track-to needs the name of a tracker, such as tensorboard")
    if options.run is not None:
        path = find_run(options.run, options.out)
        run = run_of(path)
        if run is None:
            raise RunError(f"{path} is not a run: it has models, but none of a run's records")
    elif (current := current_run(Path(options.out))) is not None:
        run = current.path
    else:
        raise ConfigError(f"there is no run in {options.out}: train one, or set another --out")
    model = hasattr(options, "track_model")
    return send(run, options.track_to, model=model, is_live=lambda: read_state(run).active, say=say)
