"""What is printed when the app is left while a run goes on: where it can be found again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from tinygpt import hints
from tinygpt.run import read_state


def parting_words(
    runs: Iterable[Path], *, starting: Collection[Path], stopping: Collection[Path]
) -> Iterator[str]:
    """A line for each of the runs that goes on without the app.

    The trainers of `starting` have not reported yet; those of `stopping` were asked to stop.
    """
    for run in dict.fromkeys(runs):
        if run in stopping:
            command = hints.resume_in_app(run)
            yield f"{run.name} stops after a checkpoint; resume it later with: {command}"
        elif run in starting:
            yield f"{run.name} is starting; attach with: {hints.open_run(run)}"
        elif (state := read_state(run)).state == "queued":
            when = f"when {state.status.after} ends" if state.status else "later"
            yield f"{run.name} is queued and starts {when}; attach with: {hints.open_run(run)}"
        elif state.active:
            yield f"{run.name} is still training; attach with: {hints.open_run(run)}"
