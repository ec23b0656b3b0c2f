"""The processes that train the runs of a group: one after the other, or several at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib import metadata
from types import FrameType
from typing import IO, NamedTuple

from tinygpt import child_process
from tinygpt.command.interrupts import Interrupts
from tinygpt.command.streams import say
from tinygpt.errors import RunError
from tinygpt.gpus import visible_ids
from tinygpt.threads import usable_cpus

POLL = 0.2
"""Seconds between two looks whether the first run has begun."""


class Signals(Interrupts):
    """Passes each signal on to the runs being trained, as a SIGTERM: of a Ctrl-C, which reaches
    these processes too, it would be the second SIGINT, which ends one without a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: set[subprocess.Popen[bytes]] = set()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        for process in tuple(self.processes):
            process.terminate()


class Job(NamedTuple):
    """A run to train: its name, and the options of its process."""

    name: str
    arguments: Sequence[str]


def cards(device: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES is for a run on each GPU, where `device` leaves the choice."""
    if device not in ("auto", "cuda"):
        return []
    try:
        return [] if "+cpu" in metadata.version("torch") else visible_ids()
    except metadata.PackageNotFoundError:
        return []


def train_all(
    jobs: Iterator[Job],
    count: int,
    gpus: Sequence[str],
    signals: Signals,
    has_begun: Callable[[], bool],
) -> Iterator[int]:
    """Train the runs, up to `count` at a time; yields the exit status of each, as they end.

    Several at a time are spread over `gpus`, and share the processor's cores. The first one starts
    alone until it `has_begun`: it may find a mistake that all have, or download the corpus.
    """
    if count == 1:
        for job in jobs:
            yield train(job.arguments, signals)
        return
    # The least used one is at the end; more runs than GPUs share them.
    free = [gpus[n % len(gpus)] if gpus else None for n in reversed(range(count))]
    running: dict[Future[int], str | None] = {}
    with ThreadPoolExecutor(count) as pool:
        while True:
            while len(running) < count and (not running or has_begun()):
                following = next(jobs, None)
                if following is None:
                    break
                gpu = free.pop()
                running[pool.submit(_train_beside, following, signals, count, gpu)] = gpu
            if not running:
                return
            finished, _ = wait(running, None if has_begun() else POLL, FIRST_COMPLETED)
            for future in finished:
                free.append(running.pop(future))
                yield future.result()


def _train_beside(job: Job, signals: Signals, count: int, gpu: str | None) -> int:
    """Train a run while others are trained: its lines begin with its name."""
    extra = {"OMP_NUM_THREADS": str(max(1, usable_cpus() // count))}
    extra = {name: value for name, value in extra.items() if name not in os.environ}
    if gpu is not None:
        extra["CUDA_VISIBLE_DEVICES"] = gpu
    return train(job.arguments, signals, extra, job.name)


def train(
    arguments: Sequence[str],
    signals: Signals,
    variables: dict[str, str] | None = None,
    name: str | None = None,
) -> int:
    """Train one run in a process of its own; returns its exit status, negative for a signal.

    What it says is passed on line by line after its `name`, if that is given.
    """
    command = [sys.executable, *child_process.PYTHON_OPTIONS, "trainer", *arguments]
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # its results are read from its directory
            stderr=None if name is None else subprocess.PIPE,
            env={**child_process.environment(), **(variables or {})},
        ) as process:
            signals.processes.add(process)
            try:
                if signals.signal:  # it came before there was a process to pass it on to
                    process.terminate()
                if name is not None and process.stderr is not None:
                    _pass_on(process.stderr, name)
                return process.wait()
            finally:
                signals.processes.discard(process)
    except OSError as error:
        raise RunError(f"a training cannot be started: {error.strerror}") from error


def _pass_on(lines: IO[bytes], name: str) -> None:
    for line in lines:
        text = line.decode(errors="replace").rstrip()
        said = text.removeprefix("tinygpt-tui: ")
        say(said if said.startswith(f"{name}: ") else f"{name}: {said}")
