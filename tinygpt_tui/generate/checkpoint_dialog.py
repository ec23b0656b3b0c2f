"""The dialog for choosing the checkpoint to generate with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.screens.pick import PickDialog, PickResult
from tinygpt_tui.theme import NAMES

LATEST = "latest"


def choose_checkpoint(
    app: App[Any], controller: GenerateController, done: Callable[[], None]
) -> None:
    """List the checkpoints of the selected variants, latest first."""

    def picked(result: PickResult | None) -> None:
        if result is None:
            return
        if result.value == LATEST:
            controller.steps = {}
        else:
            variant, step = result.value.split()
            controller.steps[variant] = int(step)
        done()

    entries = [(LATEST, "the latest of each model")]
    for variant in controller.variants:
        steps = reversed(controller.checkpoint_steps[variant])
        entries += [(f"{variant} {s}", f"{NAMES[variant]:<6} step {s:>8,}") for s in steps]
    at = _chosen(controller, [value for value, _ in entries])
    app.push_screen(PickDialog("Checkpoint", entries, at=at), picked)


def _chosen(controller: GenerateController, values: list[str]) -> int:
    """The entry to highlight: the chosen checkpoint, preferably of the active side's model."""
    side = controller.side
    variant = side.text.opened.variant if side and side.text and side.text.opened else ""
    chosen = {f"{name} {step}" for name, step in controller.steps.items()}
    places = [place for place, value in enumerate(values) if value in chosen]
    same_model = [place for place in places if values[place].startswith(f"{variant} ")]
    return next(iter([*same_model, *places]), 0)
