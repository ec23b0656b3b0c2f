"""Training in several processes: ``--gpus`` starts them, and each joins the others.

They are started by the launcher of torchrun, in this process, so that its exit status is the
training's. Started by torchrun itself, or by a scheduler that sets RANK and WORLD_SIZE, they join
in the same way.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tinygpt import child_process, hints
from tinygpt.command import gpus_option, portable
from tinygpt.command.options import USAGE, settings, without
from tinygpt.command.results import DONE, FAILED
from tinygpt.command.resumed_run import run_to_resume
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.run import is_run, list_runs, read_config, validate_run_name
from tinygpt.run.presence import process_start
from tinygpt.run.status import write_failure

if TYPE_CHECKING:
    from tinygpt.command.interrupts import Interrupts
    from tinygpt.training import Session
    from tinygpt.world import World

_KNOWN = (FAILED, USAGE, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP)
"""Exit statuses that a training has by itself."""


def count() -> int:
    """How many processes train together, as torchrun or a scheduler has set WORLD_SIZE."""
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdecimal() else 1


def rank() -> int:
    """The number of this process among them."""
    number = os.environ.get("RANK", "0")
    return int(number) if count() > 1 and number.isdecimal() else 0


def speaks() -> bool:
    """Whether this process reports what keeps it from training: the first one of each machine, as
    the others there have the same to say."""
    return count() == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def refuse(options: argparse.Namespace) -> None:
    """Raises ConfigError for an option that several processes cannot follow."""
    for name in ("seeds", "grid"):
        if hasattr(options, "gpus") and hasattr(options, name):
            raise ConfigError(
                f"--gpus is for one run, and --{name} trains a group, a run per GPU side by side: "
                "leave out one of them"
            )
    for name, instead in (
        ("after", "start them when the other run has ended"),
        ("seeds", "a group trains its runs one after the other"),
        ("grid", "a group trains its runs one after the other"),
    ):
        if count() > 1 and hasattr(options, name):
            raise ConfigError(
                f"--{name} is for a training that torchrun has not started: {instead}"
            )


def are_to_start(options: argparse.Namespace) -> bool:
    """Whether ``--gpus`` asks for several processes, and this is none of them."""
    launched = count() > 1 or "TORCHELASTIC_RUN_ID" in os.environ  # that of one process is alone
    return hasattr(options, "gpus") and not launched


def start(options: argparse.Namespace, argv: Sequence[str]) -> int:
    """Train in as many processes as ``--gpus`` says, each with the command line `argv` or, after a
    wait, with the settings of before it; returns the exit status.

    Raises:
        ConfigError: there are not as many GPUs.
    """
    wanted = _wanted(options)
    from torch.distributed.elastic.multiprocessing import (  # noqa: PLC0415
        DefaultLogsSpecs,
        SignalException,
    )
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    _silence_launcher()
    os.environ.update(child_process.environment())
    with tempfile.TemporaryDirectory(prefix="tinygpt-gpus-") as logs:
        launch = elastic_launch(
            LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=wanted,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                run_id=f"tinygpt-{os.getpid()}",
                max_restarts=0,
                logs_specs=DefaultLogsSpecs(log_dir=logs),
            ),
            sys.executable,
        )
        try:
            launch(*child_process.PYTHON_OPTIONS, *command_of(options, argv))
        except ChildFailedError as error:
            known = [rank for rank, end in error.failures.items() if end.exitcode in _KNOWN]
            return error.failures[min(known)].exitcode if known else FAILED
        except SignalException as error:
            return 128 + error.sigval
    return DONE


def command_of(options: argparse.Namespace, argv: Sequence[str]) -> list[str]:
    """The module, as this process was started with, and the words for each of the processes."""
    module = "trainer" if hints.is_trainer() else "tinygpt_tui"
    if not hasattr(options, "after"):
        return [module, *argv]
    place = ("--name", options.name, "--out", options.out)
    requested = portable.as_options(portable.requested(options))
    return [module, *without(argv, "--after", "--config"), *requested, *place]


def join() -> World:
    """The world of this process: that of torchrun, if it has started several.

    Raises:
        ConfigError: the other processes cannot be reached.
    """
    if count() == 1:
        from tinygpt.world import ALONE  # noqa: PLC0415 - it imports torch

        return ALONE
    from tinygpt.training.distributed import Processes  # noqa: PLC0415

    return Processes()


def restarted_run(options: argparse.Namespace) -> Path | None:
    """The run that torchrun's ``--max-restarts`` is to go on with: that of the same command which
    was begun after torchrun was; None at the first start."""
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    began = process_start(os.getppid()) or 0.0  # of torchrun's agent
    same = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    for run in list_runs(options.out):
        known = run.created >= began and run.state.state != "unreadable"
        if known and read_config(run.path).get("argv") == same:
            return run.path
    return None


def _silence_launcher() -> None:
    """What it logs of a process that ended, this has said already."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _wanted(options: argparse.Namespace) -> int:
    """How many processes ``--gpus`` means."""
    gpus_option.check(options)
    text = str(options.gpus)
    if _device(options) == "cpu" and text != "all":
        return int(text)
    import torch  # noqa: PLC0415 - after what can be refused without it

    from tinygpt.device import cuda_problem  # noqa: PLC0415

    there = torch.cuda.device_count()
    if not there:
        why = f" ({problem})" if (problem := cuda_problem()) else ""
        raise ConfigError(
            f"--gpus {text}: there is no GPU of NVIDIA here{why}; "
            "for processes on the CPU use --gpus 2 --device cpu"
        )
    if text == "all":
        return there
    if int(text) > there:
        raise ConfigError(f"--gpus {text}: there {'is 1' if there == 1 else f'are {there}'} here")
    return int(text)


def _device(options: argparse.Namespace) -> str:
    """The setting ``device``, given or of the run that is resumed."""
    given = settings(options).get("device")
    if given is None and hasattr(options, "resume"):
        with suppress(TinyGPTError):  # the processes say what is wrong
            given = read_config(run_to_resume(options)).get("device")
    return str(given or "auto")


def are_resuming(options: argparse.Namespace, world: World) -> bool:
    """Whether a run is to be resumed, not begun. The first process decides by what it finds.

    Raises:
        ConfigError: ``--resume auto`` without a name.
    """
    resumes = hasattr(options, "resume")
    if world.first and (run := restarted_run(options)) is not None:
        options.name, options.out, resumes = run.name, str(run.parent), True
    elif resumes and options.resume == "auto":
        if not hasattr(options, "name"):
            raise ConfigError("--resume auto needs the name of the run: add --name NAME")
        resumes = is_run(Path(options.out, validate_run_name(options.name)))
    return world.agree(resumes)


def watch(world: World, session: Session, interrupts: Interrupts) -> None:
    """End this process where another one hangs: its main thread waits for that one forever."""
    if world.size == 1:
        return
    from tinygpt.training.distributed import Processes  # noqa: PLC0415
    from tinygpt.training.watch import leave  # noqa: PLC0415

    assert isinstance(world, Processes)

    def end(sentence: str) -> None:
        write_failure(session.path, sentence)
        say(f"failed: {sentence}")
        leave(FAILED)

    world.leaving = lambda: bool(interrupts.signal)
    world.watch.on_hang = end
    world.watch.timeout = 60 * session.config.train.hang_after


def follow(session: Session, interrupts: Interrupts) -> int:
    """Train beside the first process, which writes and prints; returns the exit status.

    After a failure this process ends at once: the others may never answer again. Where the first
    one is gone, the status of the run says why.
    """
    from tinygpt.training import Loop  # noqa: PLC0415 - it imports torch
    from tinygpt.training.malloc import keep_freed_memory  # noqa: PLC0415
    from tinygpt.training.watch import leave  # noqa: PLC0415

    keep_freed_memory()
    interrupts.training = True
    outcome = Loop(session, interrupted=interrupts.signal_name).run()
    if outcome.state == "failed":
        if session.world.lost():
            write_failure(session.path, outcome.reason)
        say(f"failed: {outcome.reason}")
        leave(FAILED)
    return 128 + interrupts.signal if interrupts.signal else DONE
