"""Train without the interface: the command line, the progress on stderr, the closing table.

``python trainer.py …`` and ``tinygpt-tui --train-only …`` are this module; what is learned is
`tinygpt.training`'s. Options are made from the configuration's dataclasses, so that a new field is
a new flag. torch and rich are imported once they are needed: ``--help`` is to answer at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeAlias, cast

from tinygpt import config as configuration
from tinygpt.errors import DISK_FULL_ERRNOS, ConfigError, RunError, TinyGPTError
from tinygpt.escape import printable
from tinygpt.fields import choices, closest, flag, kind_of, nearest
from tinygpt.files.safe_open import open_to_write

if TYPE_CHECKING:
    from tinygpt.data.corpus import Corpus
    from tinygpt.run import Record
    from tinygpt.training import Outcome, Session
    from tinygpt.training.report import Report

DONE, FAILED, USAGE = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one sentence that offer the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            word = next(
                w for w in unknown.split() if w.startswith("-") or len(unknown.split()) == 1
            )
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = closest(word.split("=")[0], flags)
            hint = f"did you mean {near}?" if near else "--help lists what there is"
            message = f"{word} is not an option: {hint}"
        self.exit(USAGE, f"{self.prog}: {printable(message)}\n")


GROUPS = {
    "": "the run",
    "gpt": "the model (--gpt.*)",
    "moe": "the experts (--moe.*)",
    "optim": "the optimizer (--optim.*)",
    "train": "batches, evaluation, checkpoints (--train.*)",
}


def make_parser(prog: str, description: str) -> Parser:
    """The options of a training; whatever is not named is absent from the result."""
    parser = Parser(
        prog=prog,
        usage="%(prog)s [options]",
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=100),
    )
    groups = {key: parser.add_argument_group(title) for key, title in GROUPS.items()}
    run = groups[""]
    run.add_argument("--name", metavar="NAME", help="name of a new run, or of the one to resume")
    run.add_argument("--out", metavar="DIR", default="checkpoints", help="where runs live")
    run.add_argument("--config", metavar="FILE", help="a TOML file of settings; flags go first")
    run.add_argument("--resume", action="store_true", help="go on with --name, or the newest run")
    run.add_argument("--json", action="store_true", help="end stdout with one JSON object")
    for name, field in configuration.dotted_fields():
        group, _, _ = name.rpartition(".")
        options = choices(field)
        if name == "preset":
            options = ["auto", *options]
        groups[group].add_argument(
            flag(name),
            dest=name,
            metavar="|".join(options) or _METAVARS[kind_of(field)],
            help=f"{field.metadata['help']}{_default(name, field.default)}".replace("%", "%%"),
        )
    for name, setting in configuration.ALIASES.items():
        parser.add_argument(flag(name), dest=setting, help=argparse.SUPPRESS)
    return parser


_METAVARS = {int: "N", float: "X", bool: "true|false", str: "TEXT"}


def _default(name: str, default: object) -> str:
    """The default as the help shows it. A preset may set another."""
    if name == "preset":
        return " (auto: nano without a GPU, baby with one)"
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return f" ({str(default).lower()})"
    return f" ({default})"


def main(argv: Sequence[str] | None = None) -> int:
    """``python trainer.py``; the exit status."""
    parser = make_parser("trainer.py", "Train small GPTs, Dense and MoE, from the command line.")
    return command(parser.parse_args(argv))


def command(options: argparse.Namespace) -> int:
    """Train as the parsed options say; the exit status. A user's mistake is one line on stderr."""
    interrupts = Interrupts()
    try:
        with interrupts, ExitStack() as stack:
            session = prepare(options)
            stack.callback(session.writer.close)
            return _train(session, interrupts, as_json=hasattr(options, "json"))
    except TinyGPTError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED if interrupts.training else USAGE
    except KeyboardInterrupt:
        where = "; the last checkpoint stands" if interrupts.training else " before training began"
        sys.stderr.write(f"interrupted{where}\n")
        return 128 + (interrupts.signal or signal.SIGINT)


def prepare(options: argparse.Namespace) -> Session:
    """A session from the options: settings are checked before torch is imported."""
    asked = settings(options)
    if hasattr(options, "resume"):
        return _resume(options, asked)
    preset_was_left = asked.get("preset", "auto") == "auto"
    config = configuration.build({**asked, "preset": "nano"} if preset_was_left else asked)
    import torch  # noqa: PLC0415 - a second and a half

    if preset_was_left and torch.cuda.is_available() and config.device in ("auto", "cuda"):
        config = configuration.build({**asked, "preset": "baby"})
    from tinygpt.run import new_run_name  # noqa: PLC0415
    from tinygpt.training import begin  # noqa: PLC0415

    name = getattr(options, "name", None)
    if name is None:
        name = new_run_name(options.out, config.preset)
    corpus = _find_corpus(config.data)
    session = begin(
        config, corpus, options.out, name, [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    )
    _say(f"corpus: {corpus.source}")
    return session


def settings(options: argparse.Namespace) -> dict[str, object]:
    """Dotted names and values of the config file, then of the flags.

    Raises:
        ConfigError: the file cannot be read, or names what there is not.
    """
    known = dict(configuration.dotted_fields())
    values: dict[str, object] = {}
    if path := getattr(options, "config", None):
        values = configuration.from_tables(_read_toml(path))
        for name in values:
            if name not in known:
                hint = nearest(name, known) or "; --help lists the settings"
                raise ConfigError(f"--config {path}: there is no setting {name!r}{hint}")
    values.update({name: value for name, value in vars(options).items() if name in known})
    return values


def _read_toml(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path} is not valid TOML: {error}") from error


def _resume(options: argparse.Namespace, asked: dict[str, object]) -> Session:
    from tinygpt.run import newest_run, validate_run_name  # noqa: PLC0415

    if asked.get("preset") == "auto":
        del asked["preset"]
    if (name := getattr(options, "name", None)) is not None:
        path = Path(options.out, validate_run_name(name))
        if not os.path.isdir(path):
            raise RunError(f"--resume: there is no run {name!r} in {options.out}")
    else:
        newest = newest_run(options.out)
        if newest is None:
            raise RunError(f"--resume: there is no run in {options.out}; leave it out to start one")
        path = newest.path
    from tinygpt.training import resume  # noqa: PLC0415 - a second and a half, for torch

    session = resume(path, asked)
    for note in session.notes:
        _say(f"warning: {note}")
    steps = ", ".join(f"{v.variant} from step {v.progress.step:,}" for v in session.learners)
    _say(f"resuming {path}: {steps}")
    return session


def _find_corpus(data: str) -> Corpus:
    from tinygpt.data.corpus import find_corpus  # noqa: PLC0415

    if not sys.stderr.isatty():
        return find_corpus(data)
    with DownloadBar() as bar:
        return find_corpus(data, progress=bar)


def _train(session: Session, interrupts: Interrupts, *, as_json: bool) -> int:
    """Run the loop under a display, then say how it ended."""
    from tinygpt.training import Loop  # noqa: PLC0415
    from tinygpt.training.malloc import keep_freed_memory  # noqa: PLC0415
    from tinygpt.training.report import Report  # noqa: PLC0415

    keep_freed_memory()
    _say(_opening(session))
    report = Report(session.config, {v.variant: v.progress for v in session.learners})
    display: Display = Bars(report) if sys.stderr.isatty() else Lines(report)
    log = Log(session.path)
    interrupts.training = True
    with display, log, warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: display.say(f"warning: {message}")

        def observe(record: Record) -> None:
            if line := report.add(record):
                log.say(line)
                display.line(line)
            display.refresh()

        outcome = Loop(session, observe=observe, interrupted=interrupts.ask).run()
        for text in (outcome.trace, f"{outcome.state}: {outcome.reason}"):
            log.say(text or "")
    return _close(session, outcome, interrupts, as_json=as_json)


def _opening(session: Session) -> str:
    sizes = []
    for learner in session.learners:
        total, active = learner.model.parameter_counts()
        spared = f" ({active:,} active)" if active < total else ""
        sizes.append(f"{learner.variant} {total:,} parameters{spared}")
    return f"{', '.join(sizes)}; on {session.device}; run {session.path}"


def _close(session: Session, outcome: Outcome, interrupts: Interrupts, *, as_json: bool) -> int:
    """The closing table, the object of --json, and the exit status."""
    _print_table(outcome, sys.stderr if as_json else sys.stdout)
    if as_json:
        corpus = session.corpus
        result = {
            "run": str(session.path),
            "corpus": {"name": corpus.name, "sha256": corpus.sha256, "chars": len(corpus.text)},
            "models": _finite(outcome.models),
        }
        out = BrokenPipeSafeStream(sys.stdout)
        out.write(json.dumps(result, allow_nan=False) + "\n")
        out.flush()
    if outcome.state == "failed":
        seen = f"; the traceback is in {session.path / 'train.log'}" if outcome.trace else ""
        _say(f"failed: {outcome.error}{seen}")
        return FAILED
    if outcome.state == "stopped":
        resume = f"--resume --name {session.path.name} --out {session.path.parent}"
        _say(f"stopped ({outcome.reason}), checkpoints are saved: go on with {resume}")
        return 128 + interrupts.signal if interrupts.signal else DONE
    return DONE


def _finite(value: Any) -> Any:
    """What JSON can hold: infinities and NaN, of a loss that diverged, become null."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_table(outcome: Outcome, file: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from tinygpt.training.report import comparison  # noqa: PLC0415

    heading, *rows = comparison(outcome.models)
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column(heading[0])
    for title in heading[1:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(file=cast("TextIO", BrokenPipeSafeStream(file))).print(table)


class Interrupts:
    """Signals ask the loop to stop after its step; a second SIGINT ends at once.

    SIGHUP too, the terminal's last word, unless it is ignored as under nohup.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.training = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def ask(self) -> str | None:
        """The signal's name, once one came."""
        return signal.Signals(self.signal).name if self.signal else None

    def _note(self, number: int, _: FrameType | None) -> None:
        again, self.signal = bool(self.signal), number
        if not self.training or (again and number == signal.SIGINT):
            raise KeyboardInterrupt


class Log:
    """train.log: the lines of a headless training, unless stderr goes there already."""

    def __init__(self, run: Path) -> None:
        self._path = run / "train.log"
        self._file: TextIO | None = None

    def __enter__(self) -> None:
        with suppress(OSError):
            if self._path.exists() and os.path.samestat(os.stat(self._path), os.fstat(2)):
                return
        with suppress(OSError):  # what cannot be logged is still recorded
            descriptor = open_to_write(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._file = os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)

    def __exit__(self, *_: object) -> None:
        if self._file:
            with suppress(OSError):  # what a full disk did not take
                self._file.close()

    def say(self, line: str) -> None:
        """Add a line, if there is something to say and the disk takes it."""
        if self._file and line:
            with suppress(OSError):
                self._file.write(line.rstrip() + "\n")


class Lines:
    """Progress in a pipe: plain lines."""

    def __init__(self, report: Report) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        """A message beside the progress."""
        _say(text)

    def line(self, text: str) -> None:
        """A line of the report."""
        _say(text)

    def refresh(self) -> None:
        """Nothing to redraw."""


class Bars:
    """Progress on a terminal: a bar a variant, redrawn in place four times a second."""

    def __init__(self, report: Report) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415
        from rich.table import Column  # noqa: PLC0415

        self._report = report
        self._width = max(40, shutil.get_terminal_size().columns)
        total = report.config.steps
        self._progress = Progress(
            TextColumn("{task.description:<5}"),
            BarColumn(bar_width=None, table_column=Column(min_width=8, ratio=1)),
            TextColumn("{task.fields[text]}"),
            # Room for the ^C that a terminal echoes, which would wrap and leave a line behind.
            console=Console(file=_stderr(), width=self._width - 2),
            refresh_per_second=4,
            expand=True,
        )
        self._tasks = {
            variant: self._progress.add_task(variant, total=total, completed=latest.step, text="")
            for variant, latest in report.latest.items()
        }

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A message above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def line(self, text: str) -> None:
        """The bars show what a line would say."""

    def refresh(self) -> None:
        """Hand the newest numbers to the bars; their own thread draws them."""
        from tinygpt.training.report import duration  # noqa: PLC0415

        left = self._report.seconds_left()
        until = "" if left is None else f"{duration(left)} left"
        wide = self._width >= 100
        for variant, task in self._tasks.items():
            latest = self._report.latest[variant]
            parts = [
                f"step {latest.step:,}",
                f"loss {latest.loss:.3f}" if latest.loss is not None else "",
                f"val {latest.val_loss:.4f}" if latest.val_loss is not None else "",
                f"ppl {latest.perplexity:.2f}" if wide and latest.perplexity is not None else "",
                f"{latest.tokens_per_second:,.0f} tok/s" if latest.tokens_per_second else "",
                until,
            ]
            text = "  ".join(part for part in parts if part)
            self._progress.update(task, completed=latest.step, text=text)


Display: TypeAlias = Lines | Bars


class DownloadBar:
    """pooch's progress object, drawn by rich once there is something to draw."""

    def __init__(self) -> None:
        self._total = 0
        self._stack = ExitStack()
        self._update: Any = None

    def __enter__(self) -> DownloadBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def total(self) -> int:
        """Bytes to come."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import DownloadColumn, Progress  # noqa: PLC0415

        self._total = value
        columns = (*Progress.get_default_columns(), DownloadColumn())
        bar = self._stack.enter_context(Progress(*columns, console=Console(file=_stderr())))
        task = bar.add_task("tinyshakespeare", total=value)
        self._update = lambda size: bar.update(task, advance=size)

    def update(self, size: int) -> None:
        """`size` more bytes are here."""
        if self._update:
            self._update(size)

    def reset(self) -> None:
        """Pooch starts over to fill the bar; ours is full."""

    def close(self) -> None:
        """All bytes are here."""


class BrokenPipeSafeStream:
    """A stream whose reader may go away: what it cannot take is dropped, and training goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or give the stream up."""
        with self._forgiven():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or give the stream up."""
        with self._forgiven():
            self._stream.flush()

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # A log on a full disk is written on once there is room; what stderr still holds at the
            # end fails in silence.
            if error.errno not in DISK_FULL_ERRNOS or self._stream is not sys.stderr:
                self._give_up()

    def _give_up(self) -> None:
        """Send it to nowhere from now on, or what it still holds would fail when Python exits."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _say(text: str) -> None:
    _stderr().write(printable(text, keep="\n") + "\n")
    _stderr().flush()


def _stderr() -> TextIO:
    return cast("TextIO", BrokenPipeSafeStream(sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
