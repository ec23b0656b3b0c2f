"""The question how many steps a finished run is to have in all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textual.app import App

from tinygpt.escape import printable
from tinygpt.fields import flag
from tinygpt_tui.screens.dialog import AskText


def ask_steps(
    app: App[Any],
    name: str,
    step: int,
    settings: Mapping[str, Any],
    resume: Callable[[list[str]], None],
) -> None:
    """Ask for the steps of the finished run `name`, which has taken `step` of them.

    `settings` are its own, as nested tables; `resume` gets the flags with which it is to be
    resumed.
    """
    if target := settings.get("target_loss"):
        reached = f"{name} ends at its target loss of {target:g}, so more steps do not help"
        app.notify(f"{reached}: start a new run like it", severity="warning", markup=False)
        return
    patience = bool(settings.get("patience"))
    question = (
        f"{printable(name)} has taken {step:,} steps. How many in all? It goes on from where it "
        "is: the learning rate warms up once more, then decays towards the new end."
    )
    if patience:
        question += " Its patience is turned off."

    def answered(text: str | None) -> None:
        if text is not None:
            resume([flag("steps"), str(steps_in(text)), *([flag("patience"), "0"] * patience)])

    ask = AskText(
        question, str(2 * step), lambda text: problem(text, step), title="More steps", keep=True
    )
    app.push_screen(ask, answered)


def steps_in(text: str) -> int:
    """The number of steps that was typed; ValueError if it is none."""
    return int(text.replace(",", "").replace("_", "").strip())


def problem(text: str, step: int) -> str | None:
    """Why a run that has taken `step` steps cannot have these in all; None if it can."""
    try:
        steps = steps_in(text)
    except ValueError:
        return f"{printable(text)!r} is not a whole number"
    if steps <= step:
        return f"more than the {step:,} steps that it has: they count from the start of the run"
    return None if steps < 2**63 else "that is too many"
