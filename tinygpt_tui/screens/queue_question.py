"""What to ask before a run starts on a machine that is training another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from textual.app import App

from tinygpt.escape import printable
from tinygpt.run import RunInfo
from tinygpt_tui.launch.rivals import to_wait_for
from tinygpt_tui.screens.dialog import Ask

Answer = Literal["queue", "both", "stop"]


def ask_when(
    app: App[Any], runs: Sequence[RunInfo], answered: Callable[[str | None], None], *, new: bool
) -> None:
    """Ask when a run is to start beside `runs`; the result is an `Answer`, None to cancel.

    A run that is not `new` but resumed cannot be queued.
    """
    other = to_wait_for(runs)
    name = printable(other.name)
    choices: list[tuple[str, str, str]] = []
    if new:
        choices.append(("q", "queue", f"Queue: start when {name} ends"))
        if other.state.state != "queued":
            choices.append(("s", "stop", f"Stop {name} now, then start; it can be resumed"))
    choices += [
        ("b", "both", "Train both at the same time, each more slowly"),
        ("c", "cancel", "Cancel"),
    ]
    note = (
        "\n\nA queued run has a process of its own that waits: it starts also when this app is "
        "closed, but not after a reboot (then u starts it)."
    )
    question = f"{_doing(other)}{_others(len(runs))}.{note if new else ''}"
    app.push_screen(
        Ask(question, choices, title="Another run is active"),
        lambda answer: answered(None if answer == "cancel" else answer),
    )


def _doing(run: RunInfo) -> str:
    if run.state.state == "queued":
        return f"{printable(run.name)} {printable(run.state.reason.partition(' (')[0])}"
    step = run.state.status.step if run.state.status else 0
    doing = "is paused" if run.state.state == "paused" else "is being trained"
    return f"{printable(run.name)} {doing} (step {step:,})"


def _others(count: int) -> str:
    return f", and {count - 1} other run{'s' if count > 2 else ''} as well" if count > 1 else ""
