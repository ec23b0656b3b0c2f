"""The dialog in which a checkpoint is chosen: the best, the newest, or that of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textual.app import App

from tinygpt import formatting
from tinygpt.run import CheckpointList
from tinygpt.run.checkpoints import NAMES as BEST_AND_NEWEST
from tinygpt.run.checkpoints import Name
from tinygpt_tui.engine.session import Timeline
from tinygpt_tui.screens.pick import PickDialog, PickResult
from tinygpt_tui.theme import NAMES


def pick_checkpoint(
    app: App[Any],
    lists: Mapping[str, CheckpointList],
    chosen: Name | tuple[str, int],
    done: Callable[[Name | tuple[str, int]], None],
) -> None:
    """List the checkpoints of these variants, newest first, below the best and the newest.

    `chosen` is highlighted, and `done` is called with what the user chooses: a name, or a variant
    and a step.
    """
    choices: list[Name | tuple[str, int]] = [*BEST_AND_NEWEST]
    choices += [(v, step) for v, listed in lists.items() for step in reversed(listed.steps)]
    entries = [(str(place), _label(lists, choice)) for place, choice in enumerate(choices)]

    def picked(result: PickResult | None) -> None:
        if result is not None:
            done(choices[int(result.value)])

    at = choices.index(chosen) if chosen in choices else 0
    app.push_screen(PickDialog("Checkpoint", entries, at=at), picked)


def pick_from_timeline(
    app: App[Any], variant: str, timeline: Timeline, show: Callable[[Name | int], None]
) -> None:
    """List the checkpoints of one variant; `show` is called with the name or the step that the
    user chooses. Does nothing without checkpoints."""
    if timeline.step is None:
        return
    chosen = timeline.name or (variant, timeline.step)

    def picked(choice: Name | tuple[str, int]) -> None:
        show(choice if isinstance(choice, str) else choice[1])

    pick_checkpoint(app, {variant: timeline.checkpoints}, chosen, picked)


def _label(lists: Mapping[str, CheckpointList], choice: Name | tuple[str, int]) -> str:
    if isinstance(choice, str):
        steps = (f"{NAMES[v]} step {c.step(choice):,}" for v, c in lists.items() if c.steps)
        return f"the {choice:<6}  {', '.join(steps)}"
    variant, step = choice
    listed = lists[variant]
    loss = listed.val_losses[step]
    val = "" if loss is None else f"val {formatting.loss(loss)}"
    marks = [str(name) for name in listed.names_of(step)]
    marks += ["damaged"] if step in listed.problems else []
    return f"{NAMES[variant]:<6} step {step:>8,}  {val:<10}  {', '.join(marks)}".rstrip()
