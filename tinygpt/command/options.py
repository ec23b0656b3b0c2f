"""Command-line options, generated from the configuration's dataclasses: a new field is a new flag.

Imports neither torch nor rich, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from tinygpt import config as configuration
from tinygpt import hints
from tinygpt.command.results import print_text
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt.fields import choices, closest, flag, kind_of, nearest
from tinygpt.files.encoding import encoding_problem
from tinygpt.files.safe_open import read_toml
from tinygpt.tracking import names as trackers

USAGE = 2
"""Exit status after a mistake on the command line."""

GROUPS = {
    "": "run",
    "gpt": "model (--gpt.*)",
    "moe": "experts (--moe.*)",
    "optim": "optimizer (--optim.*)",
    "train": "batches, evaluation and checkpoints (--train.*)",
}

_METAVARS = {int: "N", float: "X", bool: "true|false", str: "TEXT"}


SEVERAL = ("data", "val_data")
"""Settings that take several words, as a shell makes of a pattern: they are joined by commas."""


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that suggest the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with `USAGE`."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            word = next(
                w for w in unknown.split() if w.startswith("-") or len(unknown.split()) == 1
            )
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = closest(word.split("=")[0], flags)
            hint = f"did you mean {near}?" if near else "--help lists all options"
            message = f"{word} is not an option: {hint}"
        self.exit(USAGE, f"{self.prog}: {printable(message)}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the help as other results are printed, and an error as other errors are."""
        if file is sys.stdout:
            print_text(message)
        else:
            say(message.removesuffix("\n"))


class TrackerNames(argparse.Action):
    """Stores a list of trackers. That one is unknown or not installed is said before training."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the trackers that the option names."""
        try:
            setattr(namespace, self.dest, trackers.parse(values, str(option_string)))
        except ConfigError as error:
            parser.error(str(error))


def path(text: str) -> str:
    """The type of an option that names a file or a folder: not empty, as that would be "."."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no path: name one (. is this folder)")
    return text


def _resume(text: str) -> str:
    """The type of --resume, if a word follows it."""
    if text != "auto":
        raise argparse.ArgumentTypeError(f"{text!r} is not auto: name the run with --name {text}")
    return text


def training_parser(prog: str, description: str) -> Parser:
    """A parser of all training options; options that are not given are absent from the result."""
    parser = Parser(
        prog=prog,
        usage="%(prog)s [options]",
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=100),
    )
    # `from tinygpt import` would look to import-linter as if torch was imported.
    version = importlib.import_module("tinygpt").__version__
    parser.add_argument(
        "--version",
        action="version",
        version=f"tinygpt-tui {version}",
        help="show the version and exit",
    )
    groups = {key: parser.add_argument_group(title) for key, title in GROUPS.items()}
    run = groups[""]
    run.add_argument(
        "--name", metavar="NAME", help="name of the new run or group, or that to resume"
    )
    run.add_argument(
        "--out", metavar="DIR", type=path, default=hints.OUT, help="directory of all runs"
    )
    run.add_argument(
        "--config", metavar="FILE", type=path, help="TOML file of settings; flags override it"
    )
    run.add_argument(
        "--resume",
        nargs="?",
        const=True,
        type=_resume,
        metavar="auto",
        help="resume --name, a run or a group, or the newest run; auto: start --name if there is "
        "no such run yet, for jobs that a scheduler starts again",
    )
    run.add_argument(
        "--gpus",
        metavar="N|all",
        help="train in N processes, one per GPU (or with --device cpu on the cores), as torchrun "
        "does with trainer.py",
    )
    run.add_argument(
        "--after", metavar="RUN", help="wait until this run or group has ended, then train"
    )
    run.add_argument(
        "--seeds", metavar="N", help="train a group of runs, with N seeds from --seed on"
    )
    run.add_argument(
        "--grid",
        metavar="KEY=A,B,C",
        action="append",
        help="train a group of runs, one per value of a setting; several make a product",
    )
    run.add_argument(
        "--jobs", metavar="N", help="train N runs of a group at a time (default: one per GPU)"
    )
    run.add_argument(
        "--group", metavar="NAME", help="record in run.toml that the run belongs to this group"
    )
    run.add_argument(
        "--track",
        metavar="NAMES",
        action=TrackerNames,
        help="send the metrics to tensorboard, wandb or trackio while training, or to several "
        "(a,b); each needs the extra of its name (none: to no tracker of the run that is resumed)",
    )
    run.add_argument(
        "--track-model",
        action="store_true",
        help="with a tracker that keeps files, send it the best model at the end",
    )
    run.add_argument("--json", action="store_true", help="print the results as JSON, on one line")
    for name, field in configuration.dotted_fields():
        group, _, _ = name.rpartition(".")
        options = choices(field)
        if name == "preset":
            options = ["auto", *options]
        if name == "device":
            options = [*configuration.DEVICES, "cuda:N"]
        several: dict[str, Any] = {"nargs": "+"} if name in SEVERAL else {}
        groups[group].add_argument(
            flag(name),
            dest=name,
            metavar="|".join(options) or _METAVARS[kind_of(field)],
            **several,
            help=f"{field.metadata['help']}{_default(name, field.default)}".replace("%", "%%"),
        )
    for name, setting in configuration.ALIASES.items():
        parser.add_argument(flag(name), dest=setting, help=argparse.SUPPRESS)
    return parser


def _default(name: str, default: object) -> str:
    """The default as the help shows it, which a preset may override; empty if there is none."""
    if name == "preset":
        return " (default: auto, which is nano without a GPU and baby with one)"
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        default = str(default).lower()
    return f" (default: {default})"


def settings(options: argparse.Namespace) -> dict[str, object]:
    """Settings by dotted name: those of ``--config``, overridden by the flags.

    Raises:
        ConfigError: the file cannot be read, or contains an unknown setting.
    """
    known = dict(configuration.dotted_fields())
    values: dict[str, object] = {}
    if path := getattr(options, "config", None):
        values = configuration.from_tables(_read_toml(path))
        for name in values:
            if name not in known:
                hint = nearest(name, known) or "; --help lists the settings"
                raise ConfigError(f"--config {path}: unknown setting {name!r}{hint}")
    for name, value in vars(options).items():
        if name in known:
            values[name] = ",".join(value) if isinstance(value, list) else value
    return values


def without(words: Sequence[str], *flags: str) -> list[str]:
    """Options and their values, without those of `flags`, each of which takes a value."""
    kept, rest = [], iter(words)
    for word in rest:
        if word in flags:
            next(rest, None)
        elif word.split("=")[0] not in flags:
            kept.append(word)
    return kept


@contextmanager
def readable(path: str, option: str) -> Iterator[None]:
    """In the with-block, a file is read that the flag `option` names.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{option} {path} is {encoding_problem(error)}: save it as UTF-8"
        ) from error


def _read_toml(path: str) -> Mapping[str, Any]:
    with readable(path, "--config"):
        try:
            return read_toml(path)
        except UnicodeDecodeError:
            raise  # a ValueError too, which `readable` has the words for
        except ValueError as error:
            raise ConfigError(f"--config {path} is not valid TOML: {error}") from error
