"""The runs that a new one would have to share this machine with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinygpt.errors import TinyGPTError
from tinygpt.gpus import read_gpus
from tinygpt.run import RunInfo, list_runs
from tinygpt.run.presence import this_host
from tinygpt_tui.launch.cost import likely_device


def rivals(out: Path) -> list[RunInfo]:
    """The runs in the folder `out` that are trained on this machine or are to be, newest first.

    Reads files: a network disk may be slow.
    """
    try:
        runs = list_runs(out)
    except TinyGPTError:  # the new run's start reports it
        return []
    return [
        run
        for run in runs
        if run.state.active and run.state.status and run.state.status.host == this_host()
    ]


def to_wait_for(runs: Sequence[RunInfo]) -> RunInfo:
    """Of these runs, at least one, the one whose end a new run waits for: the last of the queue, or
    the newest that is being trained."""
    named = {run.state.status.after for run in runs if run.state.status}
    queue = [run for run in runs if run.state.state == "queued" and run.name not in named]
    return queue[0] if queue else runs[0]


def has_own_gpu(device: str, runs: Sequence[RunInfo]) -> bool:
    """Whether a new run on `device`, as the setting has it, finds an idle GPU beside these runs."""
    if likely_device(device) != "cuda":
        return False
    idle = sum(gpu.idle for gpu in read_gpus())
    unseen = sum(run.state.status is None or run.state.status.step == 0 for run in runs)
    return idle > unseen
