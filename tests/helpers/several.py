"""Trainings in several processes on the CPU, by the trainer as a user starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from tests.helpers import preloaded
from tests.helpers.trainer import environment, has_taken
from tests.helpers.waiting import PATIENCE, running, until
from tinygpt.run import EvalRecord, MetricsReader, TrainRecord, request
from tinygpt.run.status import read_status

SHAPE = (
    *("--gpt.layers", "2", "--gpt.heads", "2", "--gpt.width", "12", "--gpt.context", "7"),
    *("--gpt.dropout", "0", "--train.precision", "fp32", "--train.batch", "7"),
    *("--train.accumulate", "2", "--moe.bias-rate", "0.01", "--moe.aux-loss", "0.5"),
    *("--train.eval-every", "11", "--train.checkpoint-every", "10"),
    *("--train.sample-tokens", "5"),
    *("--data", "corpus.txt", "--out", "runs", "--device", "cpu"),
)
"""Both variants, with every loss of a router."""
ENDLESS = (*SHAPE, "--steps", "1000000")


@contextmanager
def training_in(
    processes: int,
    folder: Path,
    *arguments: str,
    name: str = "run",
    step: int = 10,
    launcher: tuple[str, ...] = (),
) -> Iterator["subprocess.Popen[str]"]:
    """Start an endless training; the block begins once it has a record of a step.

    With a `launcher`, that is started, and the trainer by it.
    """
    several = ("--gpus", str(processes)) if processes > 1 else ()
    how = launcher or (sys.executable, "-m", "trainer", *several)
    with running(
        [*how, *ENDLESS, "--name", name, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(lambda: has_taken(folder / "runs" / name, step), process=process)
            yield process
        finally:
            for child in children_of(process):
                child.kill()


def train_to(step: int, processes: int, folder: Path, name: str, *arguments: str) -> Path:
    """Train until a step or a few more; the run."""
    run = folder / "runs" / name
    with training_in(processes, folder, *arguments, name=name, step=step) as process:
        request(run, "stop")
        _, printed = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, printed
    return run


def children_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid).children(recursive=True)
    return found


def send(process: "subprocess.Popen[str]", rank: int, number: signal.Signals) -> None:
    """Send a signal to the process of a rank."""
    trainers = [child for child in children_of(process) if child.name() != preloaded.NAME]
    executed = {child.environ().get("RANK"): child.pid for child in trainers}
    in_order = sorted(child.pid for child in trainers)  # the environment of forks is not seen
    os.kill(executed.get(str(rank), in_order[rank]), number)


def ended(process: "subprocess.Popen[str]", folder: Path) -> tuple[int, Any, str]:
    """The exit status, the run's last status, and what was printed."""
    _, printed = process.communicate(timeout=PATIENCE)
    return process.returncode, read_status(folder / "runs" / "run"), printed


def losses(run: Path) -> dict[tuple[str, str, int], float]:
    """All losses of a run by kind, model and step; of a resumed one, the last of each."""
    found = {}
    for record in MetricsReader(run).read():
        if isinstance(record, TrainRecord):
            found["train", record.model, record.step] = record.loss
        elif isinstance(record, EvalRecord):
            found["eval", record.model, record.step] = record.val_loss
    return found
